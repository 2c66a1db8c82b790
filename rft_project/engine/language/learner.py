"""The trained side of GRPO: a LoRA adapter, its optimizer, sampling from it, one update, saving. Imports torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from rft_project.engine.base import Completion
from rft_project.engine.language.generation import Generation, sample_prompts
from rft_project.engine.language.model import LanguageModel
from rft_project.engine.language.objective import Group, accumulate_gradient, advantages
from rft_project.engine.language.sampling import Answers, Draw
from rft_project.engine.language.settings import (
    ADAM_BETAS,
    GRADIENT_CLIP,
    LORA_ALPHA_PER_RANK,
    WARMUP_STEPS,
    Settings,
    is_flat,
)
from rft_project.platforms.types import Message

ADAPTER = "policy"


class Learner:
    """Base model of ``folder`` with a new adapter of ``settings.lora_rank`` drawn from ``seed``.

    Raises ModelUnavailable where the folder holds no usable model.
    """

    def __init__(self, folder: Path, settings: Settings, seed: int) -> None:
        self.settings = settings
        self.model = LanguageModel(folder)
        rank = settings.lora_rank
        self.parameters = self.model.new_adapter(ADAPTER, rank, LORA_ALPHA_PER_RANK * rank, seed)
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, betas=ADAM_BETAS, weight_decay=0.0
        )

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Tokens of a prompt. Raises ValueError where it cannot be rendered or leaves no room for the answer."""
        tokens = self.model.encode(messages)
        room = self.model.context - self.settings.max_answer_tokens
        if len(tokens) > room:
            raise ValueError(f"A prompt has {len(tokens)} tokens and the model reads {room} besides the answer.")
        return tokens

    def roll_out(self, prompts: Sequence[Sequence[int]], seed: int) -> Answers:
        """``answers_per_prompt`` sampled answers to each prompt."""
        s = self.settings
        draw = Draw(s.answers_per_prompt, s.temperature, s.max_answer_tokens)
        return self._sample(prompts, draw, seed)

    def greedy(self, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        """The likeliest answer to each prompt."""
        answers = self._sample(prompts, Draw(1, 0.0, self.settings.max_answer_tokens), 0)
        return [group[0] for group in answers.tokens]

    def completion(self, tokens: list[int]) -> Completion:
        """Text and length of an answer."""
        return Generation(self.model).completion(tokens)

    def update(
        self,
        step: int,
        prompts: Sequence[Sequence[int]],
        answers: Sequence[Sequence[Sequence[int]]],
        rewards: Sequence[Sequence[float]],
        entropy_bonus: float,
    ) -> float:
        """One step of the optimizer on graded answers; ``step`` counts from 1.

        Flat groups have no policy gradient and are left out unless there is an entropy bonus. Returns the norm of the
        gradient before clipping, 0.0 where there was nothing to learn from. Raises RuntimeError when it overflows.
        """
        groups = [
            Group(prompt, group, advantages(scores))
            for prompt, group, scores in zip(prompts, answers, rewards, strict=True)
            if entropy_bonus or not is_flat(scores)
        ]
        if not groups:
            return 0.0
        tokens = sum(len(answer) for group in answers for answer in group)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * min(1.0, step / WARMUP_STEPS)
        self.optimizer.zero_grad(set_to_none=True)
        temperature = self.settings.temperature
        accumulate_gradient(self.model, groups, tokens=tokens, temperature=temperature, entropy_bonus=entropy_bonus)
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, GRADIENT_CLIP))
        if not math.isfinite(norm):
            raise RuntimeError("Training stopped because the gradient is no longer a number: lower the learning rate.")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def save_adapter(self, folder: Path) -> None:
        """Writes the adapter in PEFT's layout."""
        self.model.save_adapter(ADAPTER, folder)

    def save(self, path: Path, progress: dict[str, Any]) -> None:
        """Writes all that going on needs: adapter, optimizer, and ``progress`` (plain values)."""
        weights = [p.detach() for p in self.parameters]
        torch.save({"weights": weights, "optimizer": self.optimizer.state_dict(), "progress": progress}, path)

    def read(self, path: Path) -> dict[str, Any]:
        """What ``save`` wrote, with its ``progress``."""
        return torch.load(path, weights_only=True)

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a state that ``read`` returned."""
        with torch.no_grad():
            for parameter, saved in zip(self.parameters, state["weights"], strict=True):
                parameter.copy_(saved)
        self.optimizer.load_state_dict(state["optimizer"])

    def _sample(self, prompts: Sequence[Sequence[int]], draw: Draw, seed: int) -> Answers:
        generator = torch.Generator()
        generator.manual_seed(seed)
        return sample_prompts(self.model, prompts, [draw] * len(prompts), generator)

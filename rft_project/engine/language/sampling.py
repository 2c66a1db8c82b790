"""Sampling many answers to many prompts at once. Imports torch.

Answers to one prompt that are alike so far share one row of the batch: the model reads every different beginning
once, and the draws are made per answer. That is exact, and saves most of the work once a policy has made up its mind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rft_project.engine.language.attention import PrefixContext
from rft_project.engine.language.model import LanguageModel, PromptBatch


@dataclass(frozen=True, slots=True)
class Draw:
    """How the answers to one prompt are drawn. ``temperature`` 0 takes the likeliest token each time."""

    n: int
    temperature: float
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Answers:
    """``tokens``: per prompt, per answer the generated tokens, the end token included; ``entropy``: mean over all
    generated tokens of the entropy (nat) of the distribution each was drawn from, taken over distinct positions
    weighted by the answers that passed them."""

    tokens: list[list[list[int]]]
    entropy: float


@torch.no_grad()
def sample(model: LanguageModel, batch: PromptBatch, draws: Sequence[Draw], generator: torch.Generator) -> Answers:
    """Answers to each prompt of ``batch``. The result depends on the generator's state and nothing else:
    every answer has its own stream of uniform numbers, whatever other answers do."""
    run = _Run(model, batch, draws, generator)
    for position in range(max(d.max_tokens for d in draws)):
        if not run.step(position):
            break
    return run.answers()


class _Run:
    """State of one call. An *answer* is a sample; a *row* is a different (prompt, tokens so far) still going on."""

    def __init__(
        self, model: LanguageModel, batch: PromptBatch, draws: Sequence[Draw], generator: torch.Generator
    ) -> None:
        counts = torch.tensor([d.n for d in draws])
        self.model, self.batch, self.counts = model, batch, counts
        self.uniform = torch.rand(int(counts.sum()), max(d.max_tokens for d in draws), generator=generator)
        self.temperature = torch.tensor([d.temperature for d in draws])
        self.limit = torch.tensor([d.max_tokens for d in draws]).repeat_interleave(counts)
        self.ends = torch.tensor(model.end_ids)
        self.tokens: list[list[int]] = [[] for _ in range(int(counts.sum()))]
        # The answers still going on, the row each is at, and the prompt of each row.
        self.going = torch.arange(int(counts.sum()))
        self.row_of = torch.arange(len(draws)).repeat_interleave(counts)
        self.prompt_of = torch.arange(len(draws))
        self.logits = model.logits(batch.last)
        self.own: list[tuple[Tensor, Tensor]] = []
        self.entropy_sum = 0.0

    def step(self, position: int) -> bool:
        """Draws one token for every answer going on; False when none is left."""
        chosen = self._draw(position)
        for answer, token in zip(self.going.tolist(), chosen.tolist(), strict=True):
            self.tokens[answer].append(token)
        alive = ~torch.isin(chosen, self.ends) & (self.limit[self.going] > position + 1)
        if not bool(alive.any()):
            return False
        self.going, chosen, row_of = self.going[alive], chosen[alive], self.row_of[alive]
        vocabulary = self.logits.shape[1]
        rows, self.row_of = torch.unique(row_of * vocabulary + chosen, return_inverse=True)
        self._read(rows // vocabulary, rows % vocabulary, position)
        return True

    def _draw(self, position: int) -> Tensor:
        temperature = self.temperature[self.prompt_of]
        safe = torch.where(temperature > 0, temperature, torch.ones(()))[:, None]
        probabilities = torch.softmax(self.logits / safe, -1)
        visits = torch.bincount(self.row_of, minlength=len(probabilities)).to(probabilities.dtype)
        self.entropy_sum += float(torch.special.entr(probabilities).sum(-1) @ visits)
        upper = probabilities.cumsum(-1)[self.row_of]
        # right=True never takes a token of probability zero; the clamp covers rounding at the upper end.
        level = self.uniform[self.going, position, None] * upper[:, -1:]
        drawn = torch.searchsorted(upper, level, right=True).clamp(max=upper.shape[1] - 1)[:, 0]
        return torch.where(temperature[self.row_of] > 0, drawn, self.logits.argmax(-1)[self.row_of])

    def _read(self, parents: Tensor, tokens: Tensor, position: int) -> None:
        """Puts one new token of every row through the model."""
        if not torch.equal(parents, torch.arange(len(self.prompt_of))):  # copying the keys is worth avoiding
            self.prompt_of = self.prompt_of[parents]
            self.own = [(k[parents], v[parents]) for k, v in self.own]
        context = PrefixContext(shared=self.batch.seen_by(self.prompt_of), own=self.own)
        at = (self.batch.lengths[self.prompt_of] + position)[:, None]
        self.logits = self.model.logits(self.model.hidden(tokens[:, None], at, context)[:, 0])
        self.own = context.seen

    def answers(self) -> Answers:
        total = sum(len(t) for t in self.tokens)
        queue = iter(self.tokens)
        grouped = [[next(queue) for _ in range(n)] for n in self.counts.tolist()]
        return Answers(grouped, self.entropy_sum / max(1, total))

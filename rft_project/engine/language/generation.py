"""Answers to lists of prompts: the common prefix is read once and kept, long lists go in slices. Imports torch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice

import torch

from rft_project.engine.base import Completion, Prompt
from rft_project.engine.language.attention import SharedKeys
from rft_project.engine.language.model import LanguageModel
from rft_project.engine.language.objective import common_prefix
from rft_project.engine.language.sampling import Answers, Draw, sample

#: Largest batch that is decoded together: answers, and padded prompt tokens beyond the common prefix.
SLICE_ANSWERS = 256
SLICE_TOKENS = 4096
#: Prefixes kept between calls, one for each of this many adapters last used.
KEPT_PREFIXES = 4
#: A shorter overlap with a kept prefix is not worth the extra pass.
SHORTEST_OVERLAP = 16


@torch.no_grad()
def sample_prompts(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    draws: Sequence[Draw],
    generator: torch.Generator,
    prefix: SharedKeys | None = None,
) -> Answers:
    """Answers per prompt (tokens), in order. ``prefix``: keys of the tokens all prompts begin with, where known."""
    shared = common_prefix(prompts)
    if prefix is None and shared:
        prefix = model.read_prefix(prompts[0][:shared])
    tokens: list[list[list[int]]] = [[] for _ in prompts]
    entropy = total = 0.0
    for part in _slices(prompts, draws, shared):
        batch = model.read_prompts([prompts[i] for i in part], prefix)
        answers = sample(model, batch, [draws[i] for i in part], generator)
        count = sum(len(a) for group in answers.tokens for a in group)
        entropy, total = entropy + answers.entropy * count, total + count
        for i, group in zip(part, answers.tokens, strict=True):
            tokens[i] = group
    return Answers(tokens, entropy / max(1.0, total))


def _slices(prompts: Sequence[Sequence[int]], draws: Sequence[Draw], shared: int) -> list[list[int]]:
    """Indexes of prompts that are decoded together; alike lengths side by side, since a slice is padded."""
    slices: list[list[int]] = []
    answers = 0
    for i in sorted(range(len(prompts)), key=lambda i: len(prompts[i])):
        width = len(prompts[i]) - shared
        answers += draws[i].n
        if not slices or answers > SLICE_ANSWERS or width * (len(slices[-1]) + 1) > SLICE_TOKENS:
            slices.append([])
            answers = draws[i].n
        slices[-1].append(i)
    return slices


class Generation:
    """Answers ``Prompt`` objects with one model and any of its adapters, and remembers the last prefix of each."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self._kept: OrderedDict[str | None, tuple[list[int], SharedKeys]] = OrderedDict()

    def generate(self, prompts: Sequence[Prompt], adapter: str | None, seed: int | None) -> list[list[Completion]]:
        """See ``engine.base.Policy.generate``."""
        if not prompts:
            return []
        tokens = [self._tokens(p) for p in prompts]
        draws = [Draw(p.n, p.temperature, p.max_tokens) for p in prompts]
        generator = torch.Generator()
        generator.manual_seed(seed) if seed is not None else generator.seed()
        self.model.use(adapter)
        answers = sample_prompts(self.model, tokens, draws, generator, self._prefix(tokens, adapter))
        return [[self.completion(a) for a in group] for group in answers.tokens]

    def completion(self, tokens: list[int]) -> Completion:
        ended = tokens[-1] in self.model.end_ids
        return Completion(self.model.decode(tokens), len(tokens), "stop" if ended else "length")

    def forget(self, adapter: str | None) -> None:
        """Drops the kept prefix of an adapter."""
        self._kept.pop(adapter, None)

    def _tokens(self, prompt: Prompt) -> list[int]:
        if prompt.n < 1 or prompt.max_tokens < 1 or prompt.temperature < 0:
            raise ValueError("A request needs n and max_tokens of at least 1 and a temperature of at least 0.")
        tokens = self.model.encode(prompt.messages)
        if len(tokens) + prompt.max_tokens > self.model.context:
            raise ValueError(
                f"The prompt has {len(tokens)} tokens; with {prompt.max_tokens} for the answer that is more than"
                f" the {self.model.context} this model can read, so shorten it."
            )
        return tokens

    @torch.no_grad()
    def _prefix(self, prompts: Sequence[Sequence[int]], adapter: str | None) -> SharedKeys | None:
        shared = list(prompts[0][: common_prefix(prompts)])
        if not shared:
            return None
        known, keys = self._kept.pop(adapter, ([], None))
        overlap = next((i for i, (a, b) in enumerate(zip(shared, known, strict=False)) if a != b), None)
        overlap = min(len(shared), len(known)) if overlap is None else overlap
        if keys is not None and overlap == len(shared):
            prefix = keys.cut(overlap)
        elif keys is not None and overlap >= SHORTEST_OVERLAP:
            prefix = self.model.read_prefix(shared, keys.cut(overlap))
        else:
            prefix = self.model.read_prefix(shared)
        self._kept[adapter] = (shared, prefix) if overlap < len(shared) or keys is None else (known, keys)
        for old in list(islice(self._kept, max(0, len(self._kept) - KEPT_PREFIXES))):
            del self._kept[old]
        return prefix

"""The policy gradient of a batch of graded answers, exact and in bounded memory. Imports torch.

Loss, with N the tokens of all sampled answers, A the advantage of an answer and H the entropy at a token::

    L = −(1/N) Σ_answers A Σ_tokens log π(token)  −  (c/N) Σ_answers Σ_tokens H

On-policy with one update per batch, so there is no ratio to clip. Advantages are rewards minus the mean of the
prompt's answers, not divided by their deviation, and N is the same for every answer (Dr. GRPO, Liu et al. 2025,
arXiv:2503.20783), so neither easy prompts nor long wrong answers weigh more than they should.

Answers that are alike are put through the model once with their weights added. The common prefix of the prompts is
read once; what the answers send back to it is collected on its keys and sent through it once at the end, so groups
can be worked off in slices that fit the memory without changing the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rft_project.engine.language.attention import KeyValue, Packing, PrefixContext, SharedKeys
from rft_project.engine.language.model import LanguageModel, PromptBatch

#: Bytes of activations one slice may hold; the whole trainer stays below 4 GB with it (135M parameters).
SLICE_BYTES = 1_200_000_000
#: Tokens whose vocabulary-wide scores are in memory at once.
SCORED_TOKENS = 128


@dataclass(frozen=True, slots=True)
class Group:
    """The answers to one prompt: tokens of the prompt, of each answer (end token included), advantage of each."""

    prompt: Sequence[int]
    answers: Sequence[Sequence[int]]
    advantages: Sequence[float]


@dataclass(frozen=True, slots=True)
class _Path:
    """A different answer of a group: summed advantage, and how many answers are this one."""

    tokens: tuple[int, ...]
    weight: float
    count: int


def accumulate_gradient(
    model: LanguageModel,
    groups: Sequence[Group],
    *,
    tokens: int,
    temperature: float = 1.0,
    entropy_bonus: float = 0.0,
    slice_bytes: float = SLICE_BYTES,
) -> None:
    """Adds the gradient of the loss to the adapter in use. ``tokens`` is N, those of left-out groups included."""
    if not groups:
        return
    objective = _Objective(model, 1.0 / tokens, temperature, entropy_bonus)
    shared = common_prefix([g.prompt for g in groups])
    prefix = model.read_prefix(groups[0].prompt[:shared]) if shared else None
    # The slices work on copies that collect what comes back; the prefix itself is gone through once, at the end.
    leaves = _leaves(prefix.layers) if prefix else []
    copy = SharedKeys(leaves) if prefix else None
    for part in _slices(model, groups, shared, slice_bytes):
        objective.add(part, copy)
    if prefix:
        sent = [(t, leaf.grad) for t, leaf in zip(_flat(prefix.layers), _flat(leaves), strict=True)]
        sent = [(t, grad) for t, grad in sent if grad is not None and t.requires_grad]
        if sent:
            torch.autograd.backward([t for t, _ in sent], [grad for _, grad in sent])


def advantages(rewards: Sequence[float]) -> list[float]:
    """Rewards of the answers to one prompt minus their mean."""
    mean = sum(rewards) / len(rewards)
    return [reward - mean for reward in rewards]


def common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with alike, leaving each at least one of its own."""
    limit = min(len(p) for p in prompts) - 1
    first = prompts[0]
    return next((i for i in range(limit) if any(p[i] != first[i] for p in prompts)), limit)


class _Objective:
    def __init__(self, model: LanguageModel, scale: float, temperature: float, entropy_bonus: float) -> None:
        self.model, self.scale, self.temperature, self.bonus = model, scale, temperature, entropy_bonus

    def add(self, groups: Sequence[Group], prefix: SharedKeys | None) -> None:
        """Backward through one slice of groups."""
        batch = self.model.read_prompts([g.prompt for g in groups], prefix)
        paths = [(i, path) for i, g in enumerate(groups) for path in _paths(g)]
        # First tokens are scored at the last state of their prompt, the others at the state of the token before.
        longer = [(i, path) for i, path in paths if len(path.tokens) > 1]
        states = batch.last[torch.tensor([i for i, _ in paths])]
        if longer:
            states = torch.cat([states, self._read(batch, longer)])
        pieces = [(path, path.tokens[:1]) for _, path in paths] + [(path, path.tokens[1:]) for _, path in longer]
        targets = torch.tensor([token for _, tokens in pieces for token in tokens])
        weight = torch.tensor([path.weight for path, tokens in pieces for _ in tokens])
        count = torch.tensor([float(path.count) for path, tokens in pieces for _ in tokens])
        states.backward(self._at_states(states.detach(), targets, weight, count))

    def _read(self, batch: PromptBatch, paths: Sequence[tuple[int, _Path]]) -> Tensor:
        """Hidden states [N, D] of all tokens but the last of each path, path after path."""
        owner = torch.tensor([i for i, _ in paths])
        lengths = torch.tensor([len(path.tokens) - 1 for _, path in paths])
        ids = torch.tensor([[token for _, path in paths for token in path.tokens[:-1]]])
        positions = torch.cat([batch.lengths[i] + torch.arange(len(path.tokens) - 1) for i, path in paths])[None]
        context = PrefixContext(shared=batch.seen_by(owner), packing=Packing(lengths))
        return self.model.hidden(ids, positions, context)[0]

    def _at_states(self, states: Tensor, targets: Tensor, weight: Tensor, count: Tensor) -> Tensor:
        """Gradient of the loss at hidden states [N, D], a few tokens at a time: scores over a whole vocabulary for
        all of them would need more memory than the model."""
        result = torch.empty_like(states)
        for start in range(0, len(states), SCORED_TOKENS):
            part = slice(start, start + SCORED_TOKENS)
            leaf = states[part].requires_grad_()
            log_p = (self.model.logits(leaf) / self.temperature).log_softmax(-1)
            loss = -(weight[part] * log_p.gather(1, targets[part, None])[:, 0]).sum()
            if self.bonus:
                loss = loss + self.bonus * (count[part] * (log_p.exp() * log_p).sum(-1)).sum()
            (result[part],) = torch.autograd.grad(loss * self.scale, leaf)
        return result


def _paths(group: Group) -> list[_Path]:
    found: dict[tuple[int, ...], tuple[float, int]] = {}
    for answer, advantage in zip(group.answers, group.advantages, strict=True):
        weight, count = found.get(tuple(answer), (0.0, 0))
        found[tuple(answer)] = (weight + advantage, count + 1)
    return [_Path(tokens, weight, count) for tokens, (weight, count) in found.items()]


def _slices(model: LanguageModel, groups: Sequence[Group], shared: int, budget: float) -> list[list[Group]]:
    """Groups in order, cut where the activations kept for the backward pass would exceed ``budget`` bytes."""
    config = model.network.config
    slices: list[list[Group]] = []
    used = 0.0
    for group in groups:
        new = len(group.prompt) - shared + sum(len(p.tokens) - 1 for p in _paths(group))
        seen = len(group.prompt) + max(len(a) for a in group.answers)
        # Kept per token and layer: about a dozen vectors of the hidden size, six of the feed-forward size, and
        # three rows of scores per head over all tokens it sees; four bytes each.
        floats = 12 * config.hidden_size + 6 * config.intermediate_size + 3 * config.num_attention_heads * seen
        need = 4.0 * config.num_hidden_layers * floats * new
        if not slices or used + need > budget:
            slices.append([])
            used = 0.0
        slices[-1].append(group)
        used += need
    return slices


def _leaves(layers: list[KeyValue]) -> list[KeyValue]:
    return [(k.detach().requires_grad_(), v.detach().requires_grad_()) for k, v in layers]


def _flat(layers: list[KeyValue]) -> list[Tensor]:
    return [tensor for pair in layers for tensor in pair]

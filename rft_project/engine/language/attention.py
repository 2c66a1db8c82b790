"""Attention over keys that several rows share, registered with transformers as ``shared_prefix``. Imports torch.

When many answers are sampled for prompts that begin alike, most keys and values are the same for all rows. Here they
are kept once: rows look at (1) any number of shared segments, e.g. the common beginning of all prompts and the rest
of each prompt, (2) their own earlier tokens, (3) the new tokens up to themselves. The scores of all parts go through
one softmax, so the result is the ordinary causal attention, exact up to float rounding, gradients included.

A model is told through the keyword argument ``prefix_context`` of its forward call, which transformers hands down to
the attention function; nothing is kept in the module. Without it the function is plain causal attention.

Shapes: B rows, H query heads, h key/value heads, r = H/h, L new tokens, d head size, G groups of rows, T keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

ATTENTION_NAME = "shared_prefix"

#: Keys and values of one layer, each ``[rows or groups, h, tokens, d]``.
KeyValue = tuple[Tensor, Tensor]


class RowGroups:
    """Which of G groups each of B rows belongs to, laid out so that each group is one slice of a batched product.

    A group gets as many slots as the largest has rows; slots without a row repeat row 0 and are dropped again.
    """

    def __init__(self, owner: Tensor, groups: int) -> None:
        """``owner`` [B], integers in 0..groups-1, any order."""
        rows = len(owner)
        sizes = torch.bincount(owner, minlength=groups)
        self.owner = owner
        self.groups = groups
        self.slots = int(sizes.max())
        order = torch.argsort(owner, stable=True)
        rank = torch.empty(rows, dtype=torch.long)
        rank[order] = torch.arange(rows) - (sizes.cumsum(0) - sizes)[owner[order]]
        self._slot_of_row = owner * self.slots + rank
        self._row_of_slot = torch.zeros(groups * self.slots, dtype=torch.long)
        self._row_of_slot[self._slot_of_row] = torch.arange(rows)

    def gather(self, rows: Tensor) -> Tensor:
        """``[B, h, m, n]`` to ``[G, h, slots·m, n]``."""
        _, heads, m, n = rows.shape
        slots = rows[self._row_of_slot].view(self.groups, self.slots, heads, m, n)
        return slots.transpose(1, 2).reshape(self.groups, heads, self.slots * m, n)

    def scatter(self, grouped: Tensor) -> Tensor:
        """``[G, h, slots·m, n]`` back to ``[B, h, m, n]``."""
        _, heads, sm, n = grouped.shape
        slots = grouped.view(self.groups, heads, self.slots, sm // self.slots, n).transpose(1, 2)
        return slots.reshape(self.groups * self.slots, heads, sm // self.slots, n)[self._slot_of_row]


@dataclass(frozen=True, slots=True)
class SharedKeys:
    """Keys that groups of rows share.

    ``layers``: per layer keys and values ``[G, h, T, d]``. ``present`` ``[G, T]``: False at padding, None where there
    is none. ``rows``: the group of each row; None where G is 1 and every row looks at it.
    """

    layers: list[KeyValue]
    present: Tensor | None = None
    rows: RowGroups | None = None

    def cut(self, tokens: int) -> SharedKeys:
        """The first ``tokens`` of keys without padding."""
        return SharedKeys([(k[:, :, :tokens], v[:, :, :tokens]) for k, v in self.layers])

    def scores(self, layer: int, query: Tensor) -> Tensor:
        """``query`` [B, h, r·L, d] against these keys: [B, h, r·L, T], padding at minus infinity."""
        keys = self.layers[layer][0].transpose(2, 3)
        scores = self.rows.scatter(self.rows.gather(query) @ keys) if self.rows else _one_group(query, keys[0])
        if self.present is None:
            return scores
        present = self.present if self.rows is None else self.present[self.rows.owner]
        return scores.masked_fill(~present[:, None, None, :], float("-inf"))

    def values(self, layer: int, weights: Tensor) -> Tensor:
        """``weights`` [B, h, r·L, T] over these values: [B, h, r·L, d]."""
        values = self.layers[layer][1]
        return self.rows.scatter(self.rows.gather(weights) @ values) if self.rows else _one_group(weights, values[0])


def _one_group(rows: Tensor, shared: Tensor) -> Tensor:
    """``rows`` [B, h, m, n] times ``shared`` [h, n, p], as one product per head instead of one per row and head."""
    batch, heads, m, n = rows.shape
    product = rows.transpose(0, 1).reshape(heads, batch * m, n) @ shared
    return product.view(heads, batch, m, -1).transpose(0, 1)


class Packing:
    """Rows of different length as one row without padding, for everything but attention.

    The model computes on N real tokens ``[1, H, N, d]``; attention sees ``[B, H, L, d]``, padded on the right.
    """

    def __init__(self, lengths: Tensor) -> None:
        """``lengths`` [B]: new tokens of each row, at least 1."""
        width = int(lengths.max())
        self.real = torch.arange(width) < lengths[:, None]
        self._place = torch.zeros(self.real.shape, dtype=torch.long)
        self._place[self.real] = torch.arange(int(lengths.sum()))

    def unpack(self, packed: Tensor) -> Tensor:
        """``[1, H, N, d]`` to ``[B, H, L, d]``; what stands at padding is of no account."""
        return packed[0].transpose(0, 1)[self._place].transpose(1, 2)

    def pack(self, rows: Tensor) -> Tensor:
        """``[B, L, H, d]`` to ``[1, N, H, d]``."""
        return rows[self.real][None]


@dataclass(slots=True)
class PrefixContext:
    """What the rows of one forward call look at besides their new tokens, and what is kept of the call.

    ``own``: per layer the rows' own earlier keys and values ``[B, h, t, d]``, empty for none. ``packing``: set where
    the call's one row is many, end to end. After the call ``seen`` holds, per layer, the rows' own keys and values
    with the new tokens added.
    """

    shared: tuple[SharedKeys, ...] = ()
    own: list[KeyValue] = field(default_factory=list)
    packing: Packing | None = None
    seen: list[KeyValue] = field(default_factory=list)


def shared_prefix_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    prefix_context: PrefixContext | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention function in transformers' form: query [B, H, L, d], key and value [B, h, L, d] to [B, L, H, d]."""
    context = prefix_context or PrefixContext()
    packing = context.packing
    if packing:
        query, key, value = packing.unpack(query), packing.unpack(key), packing.unpack(value)
    rows, heads, length, size = query.shape
    layer: int = module.layer_idx  # type: ignore[assignment]
    scale = scaling if scaling is not None else size**-0.5
    if context.own:
        past_key, past_value = context.own[layer]
        key, value = torch.cat([past_key, key], 2), torch.cat([past_value, value], 2)
    context.seen.append((key, value))
    if not context.shared and not context.own:
        repeat = heads // key.shape[1]
        full_key, full_value = key.repeat_interleave(repeat, 1), value.repeat_interleave(repeat, 1)
        result = F.scaled_dot_product_attention(query, full_key, full_value, is_causal=True, scale=scale)
    else:
        result = _joined(context, layer, query * scale, key, value).view(rows, heads, length, size)
    result = result.transpose(1, 2)
    return packing.pack(result) if packing else result, None


def _joined(context: PrefixContext, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """One softmax over the own and all shared keys; the query is scaled. Returns [B, h, r·L, d]."""
    rows, heads, length, size = query.shape
    repeat = heads // key.shape[1]
    grouped = query.reshape(rows, key.shape[1], repeat * length, size)
    own = grouped @ key.transpose(2, 3)
    if length > 1:
        allowed = torch.ones(length, key.shape[2], dtype=torch.bool).tril(key.shape[2] - length)
        own = own.masked_fill(~allowed.repeat(repeat, 1), float("-inf"))
    scores = [own, *(segment.scores(layer, grouped) for segment in context.shared)]
    weights = torch.cat(scores, -1).softmax(-1).split([part.shape[-1] for part in scores], -1)
    result = weights[0] @ value
    for segment, part in zip(context.shared, weights[1:], strict=True):
        result = result + segment.values(layer, part)
    return result


def register() -> None:
    """Makes ``attn_implementation="shared_prefix"`` known to transformers; repeating it does no harm."""
    ALL_ATTENTION_FUNCTIONS.register(ATTENTION_NAME, shared_prefix_attention)
    # Causality and padding are handled above, so no mask tensor is built.
    ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION_NAME, _no_mask)


def _no_mask(*_: Any, **__: Any) -> None:
    return None

"""Stable digests of what a step was made from, so that a result can be marked stale when that changes. No I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any


def digest(value: Any) -> str:
    """32 hex digits for a JSON value; the order of object keys does not count, that of lists does, 1 and 1.0 are equal.

    Raises ``TypeError`` for what is not JSON and ``ValueError`` for NaN and infinities.
    """
    text = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def digest_ids(ids: Iterable[str | int]) -> str:
    """Digest of a set of record ids: order does not count, so that reading them in another order is no change."""
    hasher = hashlib.sha256()
    for text in sorted(f"{type(item).__name__}:{item}" for item in ids):
        hasher.update(text.encode() + b"\n")
    return hasher.hexdigest()[:32]


def step_digest(step: str, rule_version: int, inputs: Mapping[str, Any]) -> str:
    """Digest of a step's inputs; ``rule_version`` goes up when the step's rules change what comes out."""
    return digest({"step": step, "rule_version": rule_version, "inputs": dict(inputs)})


def is_stale(stored: str | None, current: str) -> bool:
    """Whether a result made from ``stored`` inputs needs a re-run; a step that never ran is not stale."""
    return stored is not None and stored != current


def _plain(value: Any) -> Any:
    """Whole floats as integers, tuples as lists, keys as they are but text."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("The keys of a digested object must be text.")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value

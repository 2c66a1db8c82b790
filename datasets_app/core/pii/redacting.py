"""Placeholders in the place of what was found: ``<EMAIL_1>`` for one value wherever it stands.

Which number a value has is the caller's: a dataset keeps a vault, a run over files counts for itself.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from datasets_app.core.pii.checksums import alnum_of, digits_of
from datasets_app.core.pii.kinds import SECRETS
from datasets_app.core.pii.scanning import Detector, Finding, find
from datasets_app.core.pii.traces import Text, rewritten
from datasets_app.core.records import Trace

#: The placeholder for a finding, or None to leave it.
Namer = Callable[[Finding], str | None]

_ROUNDS = 8  # what stands beside a placeholder can become a finding of its own; it settles in two or three


def normalised(kind: str, value: str) -> str:
    """What two spellings of one value have in common: case of an address, separators of a number."""
    if kind == "email":
        return value.casefold()
    if kind == "phone":
        number = value.replace("(0)", "")
        digits = digits_of(number)
        return digits[2:] if digits.startswith("00") else digits
    if kind == "card":
        return digits_of(value)
    if kind in ("url", "birth_date", "gps", "person", "place"):
        return " ".join(value.split()).casefold().rstrip("/")
    return value if kind in SECRETS or kind == "crypto_address" else alnum_of(value) or value


def value_digest(key: bytes, kind: str, value: str) -> str:
    """32 hex digits of HMAC-SHA-256 over kind and normalised value: the same value is known again, never read."""
    text = f"{kind}\x00{normalised(kind, value)}"
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]


def placeholder(kind: str, number: int) -> str:
    return f"<{kind.upper()}_{number}>"


class Numbering:
    """Numbers in order of appearance, for files: one value has one placeholder in the whole run."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        self._last: dict[str, int] = {}

    def __call__(self, finding: Finding) -> str:
        known = (finding.kind, normalised(finding.kind, finding.value))
        if known not in self._numbers:
            self._numbers[known] = self._last[finding.kind] = self._last.get(finding.kind, 0) + 1
        return placeholder(finding.kind, self._numbers[known])


def redacted_text(text: Text, name: Namer, detectors: Sequence[Detector] = ()) -> str:
    """``text.value`` with every finding that has a name replaced, until nothing that has one is left."""
    value, shift = text.value, len(text.before)
    for _ in range(_ROUNDS):
        parts, at = [], 0
        for one in find(text.before + value, detectors):
            new = name(one) if one.start >= shift else None
            if new is not None:
                parts += [value[at : one.start - shift], new]
                at = one.end - shift
        if not parts:
            break
        value = "".join([*parts, value[at:]])
    return value


def redact(trace: Trace, name: Namer, detectors: Sequence[Detector] = ()) -> tuple[Trace, int]:
    """The record with placeholders, and how many were put in; the record itself and 0 where there is nothing to do."""
    count = 0

    def counted(finding: Finding) -> str | None:
        nonlocal count
        made = name(finding)
        count += made is not None
        return made

    return rewritten(trace, lambda text: redacted_text(text, counted, detectors)), count

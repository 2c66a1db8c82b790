"""Targets of topics in percent: reading what people typed, and saying in words how the rest is shared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

MOST = 100.01  # what targets may add up to: typed tenths do not always make a round hundred


class TargetError(ValueError):
    """A target that cannot be; the message is one sentence for people, ``topic`` where it stands ('' for all)."""

    def __init__(self, message: str, topic: str = "") -> None:
        super().__init__(message)
        self.topic = topic


def read_targets(leaves: Iterable[str], typed: Mapping[str, str]) -> dict[str, float]:
    """Target per topic from the fields of a form; an empty field means "its part of what is left".

    A comma is a decimal point too. Raises :class:`TargetError`.
    """
    targets = {}
    for name in leaves:
        text = typed.get(name, "").strip().removesuffix("%").rstrip().replace(",", ".")
        if text:
            targets[name] = _percent_of(name, text)
    if sum(targets.values()) > MOST:
        raise TargetError(f"The targets add up to {shown(sum(targets.values()))}; they may not exceed 100\u00a0%.")
    return targets


def _percent_of(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:  # nor NaN
        raise TargetError(f"The target of {name} must be a number from 0 to 100, not {text[:20]}.", name)
    return value


def as_now(counts: Mapping[str, int]) -> dict[str, float]:
    """The shares that topics have now as targets: tenths of a percent that add up to exactly 100; {} without records.

    What rounding down leaves over goes to the topics that lost most of it.
    """
    total = sum(counts.values())
    if not total:
        return {}
    exact = {name: 1000 * count / total for name, count in counts.items()}
    tenths = {name: math.floor(value) for name, value in exact.items()}
    lost_most = sorted(exact, key=lambda name: (tenths[name] - exact[name], name))
    for name in lost_most[: 1000 - sum(tenths.values())]:
        tenths[name] += 1
    return {name: value / 10 for name, value in tenths.items()}


def explained(leaves: Iterable[str], targets: Mapping[str, float]) -> str:
    """One sentence: what is set, and how the topics without a target share the rest."""
    names = list(leaves)
    given = [targets[name] for name in names if name in targets]
    used, rest = sum(given), len(names) - len(given)
    if not given:
        return f"No target is set: each topic should have {shown(100 / len(names))}." if names else ""
    if used > MOST:
        return f"The targets add up to {shown(used)}: take {shown(used - 100)} away."
    if rest:
        topics = "1 topic has" if rest == 1 else f"{rest} topics have"
        each = "" if rest == 1 else f", {shown((100 - used) / rest)} each"
        return f"{shown(used)} is set. {topics} no target and {'gets' if rest == 1 else 'share'} the rest{each}."
    if not used:
        return "Every target is 0, so each topic should have the same share."
    if used < 200 - MOST:
        return f"Every topic is set, {shown(used)} together: they are scaled up to 100\u00a0%."
    return "Every topic is set, 100\u00a0% together."


def shown(percent: float) -> str:
    """ "14.3 %", "50 %": one decimal where there is one, and the sign behind a space that does not break."""
    return f"{round(percent, 1):g}\u00a0%"

"""What was found, shown to people without giving it away."""

from __future__ import annotations

from collections.abc import Iterable

from datasets_app.core.pii.kinds import SECRETS
from datasets_app.core.pii.scanning import Finding

DOTS = "•••"
_AROUND = 48  # characters of context on either side


def masked(kind: str, value: str) -> str:
    """``j•••@e•••.com``, ``+4•••67``, ``sk-p•••``: enough to recognise one's own, too little to use."""
    if kind == "email":
        local, _, domain = value.partition("@")
        host, _, last = domain.rpartition(".")
        return f"{local[:1]}{DOTS}@{host[:1]}{DOTS}.{last}"
    if kind in ("url", "credential_url", "database_url"):
        scheme, mark, _ = value.partition("://")
        return f"{scheme}{mark}{DOTS}" if mark else f"{value[:4]}{DOTS}"
    if kind in ("password", "secret_token"):
        return f"{DOTS} ({len(value)} characters)"
    if kind in SECRETS:
        return f"{value[:4]}{DOTS} ({len(value)} characters)"
    return f"{value[:2]}{DOTS}{value[-2:]}" if len(value) >= 8 else f"{value[:1]}{DOTS}"


def context(text: str, shown: Finding, others: Iterable[Finding]) -> tuple[str, str, str]:
    """What stands before the finding, the masked finding, what stands after: all other findings masked as well."""
    pieces, at = ["", ""], [max(0, shown.start - _AROUND * 4), shown.end]
    for one in sorted(others, key=lambda one: one.start):
        side = int(one.start >= shown.end)
        if one.start >= at[side] and (side or one.end <= shown.start):
            pieces[side] += text[at[side] : one.start] + masked(one.kind, one.value)
            at[side] = one.end
        elif not side and at[0] < one.end <= shown.start:
            at[0] = one.end  # the window begins in the middle of it
    before = " ".join((pieces[0] + text[at[0] : shown.start]).split(" "))
    after = pieces[1] + text[at[1] : at[1] + _AROUND * 4]
    return (
        ("…" if len(before) > _AROUND or shown.start > _AROUND * 4 else "") + before[-_AROUND:],
        masked(shown.kind, shown.value),
        after[:_AROUND] + ("…" if len(after) > _AROUND else ""),
    )

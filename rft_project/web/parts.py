"""Small values that the template tags draw: states and checks."""

from __future__ import annotations

from dataclasses import dataclass

TONES = ("good", "warn", "bad", "note", "")
# The domain says what it means; the page knows four tones.
ALIASES = {
    "ok": "good", "go": "good", "pass": "good", "passed": "good", "valid": "good", "succeeded": "good", "done": "good",
    "success": "good", "improved": "good",
    "warning": "warn", "under": "warn", "stale": "warn", "duplicate": "warn", "waiting": "note", "unclear": "note",
    "error": "bad", "fail": "bad", "failed": "bad", "no-go": "bad", "no_go": "bad", "nogo": "bad", "invalid": "bad",
    "blocked": "bad", "critical": "bad", "danger": "bad", "worse": "bad",
    "info": "note", "over": "note", "generated": "note", "running": "note", "debug": "note",
    "neutral": "", "none": "", "cancelled": "", "queued": "",
}  # fmt: skip
SPOKEN = {"good": "OK", "warn": "Warning", "bad": "Blocked", "note": "Note"}


def tone_of(state: object) -> str:
    """One of ``TONES`` for a state's name; an unknown one is neutral, so that no page fails for a colour."""
    name = str(state or "").strip().lower()
    return name if name in TONES else ALIASES.get(name, "")


@dataclass(frozen=True)
class Check:
    """One line of a checklist.

    ``state``: good, warn, bad or note (or an alias). ``title``: for a passed check one line with the limit ("Largest
    topic holds 24.8 %, at most 40 %."), else what is wrong. ``detail``: what to do. ``url`` and ``link``: where.
    """

    state: str
    title: str
    detail: str = ""
    url: str = ""
    link: str = ""

"""Cells that a spreadsheet shows and does not run."""

from __future__ import annotations

# A spreadsheet takes a cell that begins so for a formula, and runs it.
_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "'")


def guarded(text: str) -> str:
    """``text`` behind an apostrophe where it begins like a formula, or with an apostrophe: taking one off undoes it."""
    return f"'{text}" if text.startswith(_RISKY) else text

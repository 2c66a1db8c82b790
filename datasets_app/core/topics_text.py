"""What a message is about, without the courtesies around it: greetings and sign-offs make letters alike, not topics."""

from __future__ import annotations

import re
from collections.abc import Sequence

LOOKED_AT = 2000  # characters of a message that count; more is pasted material
LEAST = 12  # characters that must be left, or the message is taken as it is

_GREETING = re.compile(
    r"^\s*(?:dear|hi|hello|hey|hiya|hallo|greetings|good\s+(?:morning|afternoon|evening|day))\b"
    r"[^,.!?:;\n]{0,40}[,.!?:;\n]+\s*",
    re.IGNORECASE,
)
_SIGN_OFF = re.compile(
    r"[\s,.!–-]*\b(?:"
    r"(?:kind|kindest|best|warm|many)\s+(?:regards|wishes|greetings|thanks)|regards|greetings|sincerely"
    r"|yours\s+(?:truly|sincerely|faithfully)|cheers|best(?=\s*[,\n])|thanks|thank\s+you|thx"
    r")\b[^?\n]{0,50}(?:\n[^\n]{0,40})?\s*$",
    re.IGNORECASE,
)


def essence(text: str) -> str:
    """``text`` without a greeting at its start and a sign-off at its end, cut to its first 2,000 characters.

    A message that is little more than courtesy is returned as it is.
    """
    text = text.strip()[:LOOKED_AT]
    without = _GREETING.sub("", text, count=1)
    tail = max(0, len(without) - 160)  # a sign-off is short: the pattern need not look at the whole
    shorter = without[:tail] + _SIGN_OFF.sub("", without[tail:], count=1)
    return next((candidate for candidate in (shorter, without) if len(candidate) >= LEAST), text)


def essences(texts: Sequence[str]) -> list[str]:
    """:func:`essence` of each."""
    return [essence(text) for text in texts]

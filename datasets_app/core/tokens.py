"""Exact token counts (OpenAI's o200k_base), offline: the vocabulary is inside the package."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from datasets_app.core.records import Trace, clean_text, encode_json
from rft_project.platforms.types import text_of

_ENCODING = "o200k_base"


@cache
def counter() -> Callable[[str], int]:
    """Counts the tokens of one text. Loading takes about a second, once per process."""
    try:
        import quicktok  # noqa: PLC0415 - loads the vocabulary, which pages without counting need not pay for
    except ImportError:  # no wheel for this platform
        import bpe_openai  # noqa: PLC0415 - the fallback, five times slower

        encode = bpe_openai.get_encoding(_ENCODING).encode_ordinary
        return lambda text: len(encode(text))
    count_exactly: Callable[[str], int] = quicktok.get_encoding(_ENCODING).count
    return count_exactly


def count_text(text: str) -> int:
    """Tokens of a text; a lone surrogate counts as the U+FFFD it is sent as."""
    if not text:
        return 0
    try:
        return counter()(text)
    except (TypeError, UnicodeError):
        return counter()(clean_text(text))


def count(trace: Trace) -> int:
    """Tokens of the prompt's messages: their texts, and their tool calls as compact JSON. Tool definitions,
    images and the few tokens each platform adds per message are not in it."""
    total = 0
    for message in trace.messages:
        total += count_text(text_of(message.get("content")))
        calls = message.get("tool_calls")
        if calls:
            total += count_text(encode_json(calls))
    return total

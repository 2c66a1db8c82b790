"""Exact token counts (OpenAI's o200k_base), offline: the vocabulary is inside the package."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from datasets_app.core.records import Trace, clean_text, encode_json
from rft_project.platforms.types import text_of

_ENCODING = "o200k_base"
_SYSTEM = ("system", "developer")
_REPEATED = 20_000  # characters


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
    return sum(
        count_parts(message.get("role"), message.get("content"), message.get("tool_calls"))
        for message in trace.messages
    )


def count_parts(role: Any, content: Any, calls: Any) -> int:
    """``count`` of one message."""
    text = text_of(content)
    total = _count_again(text) if role in _SYSTEM and len(text) <= _REPEATED else count_text(text)
    return total + count_text(encode_json(calls)) if calls else total


@lru_cache(maxsize=256)
def _count_again(text: str) -> int:
    """An application's records repeat its few system prompts."""
    return count_text(text)


def most(trace: Trace) -> int:
    """A number that ``count`` can't exceed, in a hundredth of its time: every token is at least one byte."""
    return sum(most_of(message.get("content"), message.get("tool_calls")) for message in trace.messages)


def most_of(content: Any, calls: Any) -> int:
    """``most`` of one message."""
    size = len(text_of(content).encode("utf-8", "surrogatepass"))
    return size + len(encode_json(calls).encode("utf-8", "surrogatepass")) if calls else size

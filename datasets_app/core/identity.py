"""What makes two conversations the same: roles, texts but for case and white space, other parts, and tool calls.

Ids of tool calls are chance and don't count, nor do tools, output or reference. A conversation is first written down as
bytes (``said``, message by message), then normalised in as few passes as that takes, then hashed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from xxhash import xxh3_128_hexdigest

from datasets_app.core.records import Trace, encode_json, tool_calls_of
from rft_project.platforms.types import JsonDict, text_of

# No text in UTF-8 holds these bytes. In the normal form they become two that no text of a valid record holds.
END_OF_MESSAGE, END_OF_PART = b"\xff", b"\xfe"
_ASCII = bytes(range(128))
_ENDS = bytes(range(254)) + b"\x01\x00"
_CONTROL = bytes(code for code in range(32) if code not in b"\t\n\r")
_SPACE = bytes(code for code in _ASCII if chr(code).isspace())
_CONTINUED = bytes(range(0x80, 0xC0))  # bytes of a character in UTF-8 after its first one
_WIDE = b"\x02"
_LOWER = _ASCII.lower() + _WIDE * 128
_ODD = 0xFF  # stands for what is not plain: control characters, and all that is not ASCII
_PLAIN = bytes(_ODD if code in _CONTROL else code for code in _ASCII.lower()) + bytes([_ODD]) * 126 + b"\x01\x00"


def digest(trace: Trace) -> str:
    """128-bit hex digest of the normalised conversation."""
    messages = trace.input.get("messages")
    if isinstance(messages, list) and messages:
        return digest_of(normal(_joined(map(said, messages))))
    return digest_of(normal(END_OF_PART + encode_json(trace.data, sort=True).encode("utf-8", "surrogatepass")))


def digest_of(normalised: bytes) -> str:
    """``digest`` of a conversation in its normal form."""
    return xxh3_128_hexdigest(normalised)


def message_text(message: Any) -> str:
    """One message as ``digest`` compares it: two that differ only in case, white space or ids of calls are equal."""
    return normal(_joined([said(message)])).decode("utf-8", "surrogatepass")


def _joined(messages: Iterable[bytes]) -> bytes:
    return b"".join(message + END_OF_MESSAGE for message in messages)


def said(message: Any) -> bytes:
    """What of a message counts, before it is normalised and without the end."""
    return END_OF_PART.join(part.encode("utf-8", "surrogatepass") for part in _parts_of(message))


def _parts_of(message: Any) -> Iterator[str]:
    if not isinstance(message, dict):
        yield encode_json(message, sort=True)
        return
    role, content = message.get("role"), message.get("content")
    yield role if isinstance(role, str) else ""
    yield text_of(content)
    if isinstance(content, list):
        for part in content:
            if not (isinstance(part, dict) and isinstance(part.get("text"), str)):
                yield encode_json(part, sort=True)
    elif content is not None and not isinstance(content, str):
        yield encode_json(content, sort=True)
    for call in tool_calls_of(message):
        called = call.get("function")
        function = cast(JsonDict, called) if isinstance(called, dict) else {}
        arguments = function.get("arguments")
        yield str(function.get("name", ""))
        yield arguments if isinstance(arguments, str) else encode_json(arguments, sort=True)


# --- the normal form -------------------------------------------------------------------------------------------------


def plain(text: bytes) -> bytes | None:
    """``normal`` of what holds neither control characters nor anything but ASCII, in one pass; else None."""
    found = text.translate(_PLAIN, b"\t\n\r ")
    return None if _ODD in found else found


def normal(text: bytes) -> bytes:
    """What two texts have in common that differ in case and white space only: letters folded, white space left out.

    ``text``: UTF-8, with the marks of ends. Where it is not all ASCII, the places of other characters are marked and
    they follow apart, so that folding costs a few passes over bytes and not one step per character.
    """
    found = plain(text)
    if found is not None:
        return found
    text = text.translate(_ENDS)
    if text.isascii():
        return text.translate(_LOWER, _SPACE)
    wide = text.translate(None, _ASCII).decode("utf-8", "surrogatepass")
    folded = "".join(wide.casefold().split())
    beyond = folded.encode("utf-8", "surrogatepass")
    if len(folded) == len(wide) and len(beyond) == len(beyond.translate(None, _ASCII)):
        return text.translate(_LOWER, _SPACE + _CONTINUED) + _WIDE + beyond
    # White space beyond ASCII, or a letter that folds to several or to ASCII.
    text = "".join(text.decode("utf-8", "surrogatepass").casefold().split()).encode("utf-8", "surrogatepass")
    beyond = text.translate(None, _ASCII)
    return text.translate(_LOWER, _SPACE + _CONTINUED) + (_WIDE + beyond if beyond else b"")


def has_control(text: bytes) -> bool:
    """Whether there are control characters other than tab and line ends."""
    return len(text) > len(text.translate(None, _CONTROL))

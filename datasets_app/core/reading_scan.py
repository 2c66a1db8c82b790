"""Where one record ends and the next begins: lines, or values of a JSON list, found without parsing them.

A JSON list can be many gigabytes on one line. ``scan_values`` looks only for brackets and strings, so memory holds one
record; whether its text is JSON is for the decoder to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

from datasets_app.core.records import Unreadable, decode_json

Piece = tuple[bytes, str]  # raw text, and why it is refused ('' if it is not)


class Fatal(str):
    """Why a record is refused, where nothing after it can be read either."""

    __slots__ = ()


_KEPT = 1 << 14  # bytes kept of a record that is too long

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]"]', re.DOTALL)
_STRING_END = re.compile(rb'["\\]')
_GAP = re.compile(rb"[\s,]*+")
_SCALAR = re.compile(rb'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^,\]"])*+', re.DOTALL)
# An object that wraps the list of records: {"data": [, with plain values before it.
_PLAIN = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[-+.\w]++'
_ENVELOPE = re.compile(
    rb'\s*+\{\s*+(?:"(?!(?:data|traces|records)")[^"\\]*+"\s*+:\s*+(?:' + _PLAIN + rb")\s*+,\s*+)*+"
    rb'"(?:data|traces|records)"\s*+:\s*+\[',
    re.DOTALL,
)


class Shape(Enum):
    LINES = "lines"
    VALUES = "values"


def shape_of(head: bytes) -> Shape:
    """Whether the file, of which ``head`` is the beginning, has one record per line or holds values to scan."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    first, newline, rest = text.partition(b"\n")
    first, second = first.strip(), rest.lstrip().partition(b"\n")[0].strip()
    if text[:1] == b"[":
        if newline and second and (decodes(first) or (first[-1:] not in b"[{,:" and decodes(second))):
            return Shape.LINES  # a line that happens to begin with a bracket
        return Shape.VALUES
    if text[:1] != b"{":
        return Shape.LINES
    if _ENVELOPE.match(text):
        return Shape.LINES if second and decodes(first) else Shape.VALUES
    if newline and first[-1:] in b"{[,:" and not decodes(second):
        return Shape.VALUES  # an object written over several lines
    return Shape.LINES


def decodes(text: bytes) -> bool:
    """Whether the text is JSON that the product takes."""
    try:
        decode_json(text)
    except Unreadable:
        return False
    return True


def split_lines(blocks: Iterator[bytes], cap: int) -> Iterator[Piece]:
    """Lines without their newline. One longer than ``cap`` bytes is refused and the rest goes on."""
    pending: list[bytes] = []
    size = 0
    for block in blocks:
        *whole, rest = block.split(b"\n")
        for part in whole:
            yield _joined(pending, part, cap) if pending else ((part, "") if len(part) <= cap else _too_long(part, cap))
            pending, size = [], 0
        size += len(rest)
        if rest and (size <= cap or not pending):
            pending.append(rest)
        elif rest:
            pending = [b"".join(pending)[: cap + 1]]  # enough to know that it is too long
            if len(pending[0]) <= cap:
                pending.append(rest[: cap + 1 - len(pending[0])])
    if pending:
        yield _joined(pending, b"", cap)


def _joined(pending: list[bytes], part: bytes, cap: int) -> Piece:
    line = b"".join([*pending, part])
    return (line, "") if len(line) <= cap else _too_long(line, cap)


def _too_long(line: bytes, cap: int) -> Piece:
    return line[:_KEPT], f"The record is longer than {cap / (1 << 20):,.3g} MB; shorten it or leave it out."


class _Window:
    """The part of the stream that is in memory: ``buffer`` from ``pos`` on is not used up."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.buffer = b""
        self.pos = 0

    def fill(self) -> bool:
        """Adds a block behind what is not used up; False at the end of the stream."""
        block = next(self._blocks, b"")
        self.buffer = self.buffer[self.pos :] + block
        self.pos = 0
        return bool(block)

    def skip_gap(self) -> int:
        """Goes past white space and commas; the byte found there, or -1 at the end."""
        while True:
            match = _GAP.match(self.buffer, self.pos)
            self.pos = match.end() if match else self.pos
            if self.pos < len(self.buffer):
                return self.buffer[self.pos]
            if not self.fill():
                return -1


def scan_values(blocks: Iterator[bytes], cap: int) -> Iterator[Piece]:
    """Records of a JSON list, of an object that wraps one (``{"data": […]}``), or of objects one after another."""
    window = _Window(blocks)
    first = window.skip_gap()
    envelope = _ENVELOPE.match(window.buffer, window.pos)
    if first == ord("[") or envelope:
        window.pos = envelope.end() if envelope else window.pos + 1
        yield from _list_items(window, cap)
        if not envelope and window.skip_gap() >= 0:
            yield window.buffer[window.pos : window.pos + _KEPT], "There is text after the end of the list."
        return
    while (byte := window.skip_gap()) >= 0:
        yield _container(window, cap) if byte in b"{[" else _rest_of_line(window)


def _list_items(window: _Window, cap: int) -> Iterator[Piece]:
    while (byte := window.skip_gap()) >= 0:
        if byte == ord("]"):
            window.pos += 1
            return
        yield _container(window, cap) if byte in b"{[" else _scalar(window, cap)
    yield b"", "The list is not closed: the file ends too early; the records before this were read."


def _scalar(window: _Window, cap: int) -> Piece:
    """A text, number or word of a list."""
    while True:
        match = _SCALAR.match(window.buffer, window.pos)
        end = match.end() if match else window.pos
        if end < len(window.buffer) and window.buffer[end : end + 1] != b'"':
            break
        if len(window.buffer) - window.pos > cap or not window.fill():
            end = len(window.buffer)
            break
    raw, window.pos = window.buffer[window.pos : end], end
    return (raw, "") if len(raw) <= cap else _too_long(raw, cap)


def _rest_of_line(window: _Window) -> Piece:
    end = window.buffer.find(b"\n", window.pos)
    end = len(window.buffer) if end < 0 else end
    raw, window.pos = window.buffer[window.pos : end], end
    return raw, ""


def _container(window: _Window, cap: int) -> Piece:
    """The object or list that begins at the window's position, up to the bracket that closes it."""
    depth, at, in_string, kept = 0, window.pos, False, b""
    while True:
        buffer = window.buffer
        if in_string:
            at, in_string = _after_string(buffer, at)
        if not in_string:
            for match in _TOKEN.finditer(buffer, at):
                byte = buffer[match.start()]
                if byte in b"{[":
                    depth += 1
                elif byte in b"}]":
                    depth -= 1
                    if depth == 0:
                        raw, window.pos = buffer[window.pos : match.end()], match.end()
                        return _too_long(kept, cap) if kept else (raw, "") if len(raw) <= cap else _too_long(raw, cap)
                elif match.end() - match.start() == 1:  # a string that goes on in the next block
                    at, in_string = _after_string(buffer, match.end())
                    break
            else:
                at = len(buffer)
        if at - window.pos > cap:
            kept = kept or buffer[window.pos : window.pos + _KEPT]
            window.pos = at  # let go of it; only its end matters now
        at -= window.pos
        if not window.fill():
            raw, window.pos = window.buffer, len(window.buffer)
            return _too_long(kept, cap) if kept else (raw, "The record is not closed: the file ends in its middle.")


def _after_string(buffer: bytes, at: int) -> tuple[int, bool]:
    """Position behind the string that is open at ``at``, and whether it is still open at the end of the buffer."""
    while match := _STRING_END.search(buffer, at):
        if match.group() == b'"':
            return match.end(), False
        if match.end() == len(buffer):
            return match.start(), True  # a backslash whose other half is in the next block
        at = match.end() + 1
    return max(at, len(buffer)), True

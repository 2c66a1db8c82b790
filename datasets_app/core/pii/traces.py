"""A record's texts: every place in it where personal data or a secret can stand, for finding and for rewriting.

Looked at are the messages, the tools, calls and their arguments, the output, the reference answer, the item fields and
the metadata; not roles, ids and names of functions, which are the frame. Keys of objects are not texts. Text that is
itself a JSON object or list (arguments of a call, results of tools) is read as such, so that what is put in leaves it
valid JSON. A value in an object is read with its key before it: ``{"password": "…"}`` is found by the word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from datasets_app.core.pii.scanning import Detector, Finding, encoded, find, rules_that_hit
from datasets_app.core.records import Trace, Unreadable, decode_json, encode_json
from rft_project.platforms.types import JsonDict

_FRAME = frozenset({"role", "type", "id", "tool_call_id", "finish_reason"})  # of a message, a call, a part
_CARRIERS = frozenset({"content", "text", "arguments", "description", "messages", "parameters", "value"})
_SPLIT = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")
_LONG_NUMBER = 10**6  # a smaller one is a count, not somebody's number


@dataclass(frozen=True, slots=True)
class Text:
    """One text: what is searched is ``before + value``; findings count in ``value``."""

    before: str
    value: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A finding with the text it stands in; its ends count from the start of ``text``."""

    finding: Finding
    text: str


@lru_cache(maxsize=4096)
def label_of(key: str) -> str:
    """Words of a key, as a label before its value: "customerPhone" -> "customer Phone: "; '' for mere carriers."""
    words = " ".join(word for word in _SPLIT.split(key[:80]) if word)
    return "" if key in _CARRIERS or not words else f"{words}: "


_Pair = tuple[str, str]  # before and value of a ``Text``: a record has a hundred, most are never looked at


def texts(trace: Trace) -> list[Text]:
    """Every text of the record, in order."""
    return [Text(*pair) for pair in _pairs(trace)]


def findings(trace: Trace, detectors: Sequence[Detector] = ()) -> list[Seen]:
    """Everything found in the record's texts. Never raises, whatever the payload."""
    every = _pairs(trace)
    # One pass over all of them: a record without any finding, as most are, costs little more than this.
    if not detectors and not rules_that_hit(encoded("\n".join([before + value for before, value in every]))):
        return []
    return [seen for pair in every for seen in _found(Text(*pair), detectors)]


def _pairs(trace: Trace) -> list[_Pair]:
    found: list[_Pair] = []
    for root, node in _roots(trace):
        _walk(node, label_of(root), found)
    return found


def _found(text: Text, detectors: Sequence[Detector]) -> Iterator[Seen]:
    shift = len(text.before)
    for one in find(text.before + text.value, detectors):
        if one.start >= shift:
            yield Seen(Finding(one.kind, one.start - shift, one.end - shift, one.value), text.value)


def rewritten(trace: Trace, change: Callable[[Text], str]) -> Trace:
    """The record with ``change`` applied to every text; itself, where nothing changes. A number that changes becomes
    text. The record given is not touched."""
    roots = {root: (node, _map(node, label_of(root), change)) for root, node in _roots(trace)}
    if all(old is new for old, new in roots.values()):
        return trace
    made = {root: new for root, (_, new) in roots.items()}
    return replace(trace, **made)


def _roots(trace: Trace) -> Iterator[tuple[str, Any]]:
    yield "data", trace.data
    if trace.has_reference:
        yield "reference_answer", trace.reference_answer
    yield "fields", trace.fields
    yield "metadata", trace.metadata


def _inner(value: str) -> Any:
    """The object or list that a text (not an empty one) is, else None."""
    if value[0] not in "{[" or value[-1] not in "}]":
        return None
    try:
        return decode_json(value)
    except Unreadable:
        return None


def _walk(node: Any, before: str, found: list[_Pair]) -> None:
    kind = type(node)
    if kind is str:
        if node:
            inner = _inner(node)
            if inner is None:
                found.append((before, node))
            else:
                _walk(inner, before, found)
    elif kind is dict:
        frame = _frame_of(node)
        for key, value in node.items():
            if key not in frame:
                _walk(value, label_of(key), found)
    elif kind is list:
        for value in node:
            _walk(value, before, found)
    elif kind is int and not -_LONG_NUMBER < node < _LONG_NUMBER:
        found.append((before, str(node)))


def _map(node: Any, before: str, change: Callable[[Text], str]) -> Any:
    """The same walk, giving back the same object where nothing changed."""
    if type(node) is str:
        inner = _inner(node) if node else None
        if inner is None:
            made: Any = change(Text(before, node)) if node else node
            return node if made == node else made
        mapped = _map(inner, before, change)
        return node if mapped is inner else encode_json(mapped)
    if type(node) is dict:
        return _map_dict(node, change)
    if type(node) is list:
        values = [_map(value, before, change) for value in node]
        return node if all(old is new for old, new in zip(node, values, strict=True)) else values
    if type(node) is int and not -_LONG_NUMBER < node < _LONG_NUMBER:
        made = change(Text(before, str(node)))
        return node if made == str(node) else made
    return node


def _map_dict(node: JsonDict, change: Callable[[Text], str]) -> JsonDict:
    frame = _frame_of(node)
    made = {key: value if key in frame else _map(value, label_of(key), change) for key, value in node.items()}
    return node if all(made[key] is value for key, value in node.items()) else made


def _frame_of(node: JsonDict) -> frozenset[str]:
    """Keys that are structure in this object: only of messages, calls, parts and functions, never of free data."""
    if "role" in node or "function" in node or ("type" in node and "text" in node):
        return _FRAME
    return _NAME if "name" in node and ("arguments" in node or "parameters" in node) else _NOTHING


_NOTHING: frozenset[str] = frozenset()
_NAME = frozenset({"name"})

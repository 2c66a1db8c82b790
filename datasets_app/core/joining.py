"""What several records have in common because one conversation was logged more than once.

A chat logs its whole history again with every turn: ``superseded`` finds the records that are the beginning of a longer
one. An agent logs each turn apart: ``join_sessions`` puts the turns together. And one call is often logged at several
levels, a span within a span: ``inner_calls`` finds the outer copies.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from datasets_app.core.formats.base import split_answer
from datasets_app.core.identity import digest, message_text
from datasets_app.core.records import Trace, clean_id
from rft_project.platforms.types import JsonDict

T = TypeVar("T")
Times = tuple[float | None, float | None]
WINDOW = 256  # records before and after one among which its inner span is looked for
_CHUNK = 1 << 16


# --- history repeated turn by turn -----------------------------------------------------------------------------------


class Entry(NamedTuple):
    """What ``superseded`` needs of one record. ``own`` is a 64-bit digest of its group and its whole conversation,
    answer included; ``beginnings`` those of the beginnings at which an earlier record could have ended."""

    id: int
    own: int
    beginnings: tuple[int, ...]
    messages: int


class Superseded(NamedTuple):
    """A record whose ``messages`` messages are the beginning of record ``kept_id``, which has ``kept_messages``."""

    id: int
    kept_id: int
    messages: int
    kept_messages: int

    @property
    def reason(self) -> str:
        return f"Its {self.messages} messages are the beginning of a conversation of {self.kept_messages}."


def group_of(trace: Trace) -> str:
    """What ties records to one conversation: the session, or the trace where there is no session; '' for neither."""
    if trace.session_id:
        return f"session {trace.session_id}"
    found = clean_id(trace.metadata.get("trace_id"))
    return f"trace {found}" if found else ""


def entry_of(id: int, trace: Trace, *, grouped: bool = True) -> Entry | None:
    """The record as ``superseded`` compares it, or None where it can't be compared: it has no messages or no group.

    ``grouped=False`` compares all records with each other, for logs without any ids.
    """
    messages = trace.messages + trace.output_messages
    group = group_of(trace) if grouped else ""
    if not messages or (grouped and not group):
        return None
    link = blake2b(group.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    beginnings: list[int] = []
    before = None
    for number, message in enumerate(messages):
        role = message.get("role")
        if number and "assistant" in (before, role):  # an earlier record ended before or after an answer
            beginnings.append(int.from_bytes(link, "little"))
        link = blake2b(link + message_text(message).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        before = role
    return Entry(id, int.from_bytes(link, "little"), tuple(beginnings), len(messages))


def superseded(entries: Iterable[Entry]) -> Iterator[Superseded]:
    """The records that are the beginning of a longer one, in the order of ``entries``, each with the longest such.

    Equal conversations don't supersede each other: they are duplicates. Of several longest ones the first counts.
    ``entries`` is read once. Memory at its peak: 115 bytes per record of four beginnings, measured on a million.
    """
    ids, own, lengths, ends, beginnings = array("q"), array("Q"), array("I"), array("Q"), array("Q")
    for entry in entries:
        ids.append(entry.id)
        own.append(entry.own)
        lengths.append(entry.messages)
        beginnings.extend(entry.beginnings)
        ends.append(len(beginnings))
    owns, many = np.frombuffer(own, dtype=np.uint64), np.frombuffer(lengths, dtype=np.uint32)
    known, longest = _longest(owns, many, np.frombuffer(ends, dtype=np.uint64), beginnings)
    for start in range(0, len(owns), _CHUNK):
        places = np.searchsorted(known, owns[start : start + _CHUNK])
        for record, kept in enumerate(longest[places].tolist(), start):
            if kept >= 0:
                yield Superseded(ids[record], ids[kept], lengths[record], lengths[kept])


def _longest(
    owns: NDArray[np.uint64], lengths: NDArray[np.uint32], ends: NDArray[np.uint64], beginnings: array[int]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The distinct conversations, sorted, and for each the place of the longest record that begins so, or -1."""
    known = np.unique(owns)
    longest = np.full(len(known), -1, dtype=np.int64)
    values = np.frombuffer(beginnings, dtype=np.uint64)
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK]
        at = np.minimum(np.searchsorted(known, chunk), len(known) - 1)
        hits = np.flatnonzero(known[at] == chunk)
        owners = np.searchsorted(ends, (hits + start).astype(np.uint64), side="right")
        for place, owner in zip(at[hits].tolist(), owners.tolist(), strict=True):
            best = longest[place]
            if best < 0 or lengths[owner] > lengths[best]:
                longest[place] = owner
    return known, longest


# --- turns logged one by one -----------------------------------------------------------------------------------------


class Conversation(NamedTuple):
    """``trace`` is put together of the traces at the places ``parts``, in their order; of one part, it is that part."""

    parts: list[int]
    trace: Trace


def join_sessions(traces: Sequence[Trace]) -> list[Conversation]:
    """The traces with those of one session put together, each conversation at the place of its first part.

    Parts are ordered by time where all of them have one. Parts with different system prompts belong to different
    agents and stay apart. Parts of one trace without a session are joined only where one goes on with the other: a
    trace may hold calls that have nothing to do with each other. Traces that nothing ties together, and such as hold
    messages that are none, come back as they are.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for number, trace in enumerate(traces):
        group = group_of(trace)
        whole = trace.messages and trace.messages == trace.input["messages"]
        key = (group, _system_text(trace)) if group and whole else ("", str(number))
        groups.setdefault(key, []).append(number)
    return [found for places in groups.values() for found in _conversations(traces, places)]


def _system_text(trace: Trace) -> str:
    first = trace.messages[0]
    return message_text(first) if first.get("role") == "system" else ""


def _conversations(traces: Sequence[Trace], places: list[int]) -> Iterator[Conversation]:
    """The conversations in the parts of one group."""
    if all(traces[place].started_at is not None for place in places):
        places = sorted(places, key=lambda place: traces[place].started_at or 0.0)
    parts: list[int] = []
    messages: list[JsonDict] = []
    for place in places:
        part = traces[place]
        own = part.messages + part.output_messages
        continued = continuation(messages, own)
        if parts and continued is None and not part.session_id:
            yield _joined(traces, parts, messages)
            parts, messages = [], []
        messages = continued if continued is not None else [*messages, *_without_system(own, messages)]
        parts.append(place)
    yield _joined(traces, parts, messages)


def continuation(before: Sequence[JsonDict], after: Sequence[JsonDict]) -> list[JsonDict] | None:
    """Both parts as one conversation where ``after`` goes on with ``before``, else None.

    It does so where it repeats all of it (then it is the conversation), is a beginning of it, starts with a part of its
    end, or starts with a tool's result.
    """
    old, new = [message_text(m) for m in before], [message_text(m) for m in after]
    if new[: len(old)] == old:
        return list(after)
    if old[: len(new)] == new:
        return list(before)
    rest = _without_system(after, before)
    new = new[len(after) - len(rest) :]
    for size in range(min(len(old), len(new)), 0, -1):
        if old[-size:] == new[:size]:
            return [*before, *rest[size:]]
    return [*before, *rest] if rest and rest[0].get("role") == "tool" else None


def _without_system(messages: Sequence[JsonDict], before: Sequence[JsonDict]) -> Sequence[JsonDict]:
    """The messages without system messages at their beginning, where the conversation has one already."""
    start = 0
    while before and start < len(messages) and messages[start].get("role") == "system":
        start += 1
    return messages[start:]


def _joined(traces: Sequence[Trace], places: list[int], messages: list[JsonDict]) -> Conversation:
    """One record of the parts: everything but the conversation comes from the last one."""
    parts = [traces[place] for place in places]
    last = parts[-1]
    if len(parts) == 1:
        return Conversation(places, last)
    tools = {str(tool): tool for part in parts for tool in part.tools}
    started = [part.started_at for part in parts if part.started_at is not None]
    finished = [part.finished_at for part in parts if part.finished_at is not None]
    given = {**last.input, "messages": messages}
    trace = Trace(
        data={"input": {**given, "tools": list(tools.values())} if tools else given},
        reference_answer=last.reference_answer,
        has_reference=last.has_reference,
        fields=last.fields,
        metadata={**last.metadata, "joined": len(parts)},
        span_id=last.span_id,
        started_at=min(started, default=None),
        finished_at=max(finished, default=None),
        session_id=last.session_id,
    )
    return Conversation(places, split_answer(trace))


# --- one call logged at several levels -------------------------------------------------------------------------------


class Call(NamedTuple):
    """A span that is a call of a model. Times in epoch seconds; ``messages`` is the digest of what the model was sent.

    ``parents`` are the ids of the spans around it as far as they are known, the nearest first.
    """

    trace_id: str
    span_id: str
    parents: tuple[str, ...]
    messages: str
    started_at: float | None
    finished_at: float | None

    def within(self, other: Call) -> bool:
        """Whether this span logs the same call as ``other`` and lies inside it, by its parents or else by its times."""
        if (self.trace_id, self.messages) != (other.trace_id, other.messages) or self.span_id in other.parents:
            return False
        own, around = (self.started_at, self.finished_at), (other.started_at, other.finished_at)
        timed = _encloses(around, own)
        if timed is False:
            return False
        if other.span_id in self.parents:
            return True
        side_by_side = self.parents[:1] == other.parents[:1] and self.parents
        return bool(timed and own != around and not side_by_side)


def _encloses(outer: Times, inner: Times) -> bool | None:
    """None where a time is not known."""
    (first, last), (start, end) = outer, inner
    if first is None or last is None or start is None or end is None:
        return None
    return first <= start and end <= last


def call_of(trace: Trace) -> Call | None:
    """The trace as a span, or None where it says no trace id or nothing of its place among the others."""
    trace_id, parent = clean_id(trace.metadata.get("trace_id")), clean_id(trace.metadata.get("parent_id"))
    timed = trace.started_at is not None and trace.finished_at is not None
    if not trace_id or not trace.messages or not (trace.span_id and (parent or timed)):
        return None
    parents = (parent,) if parent else ()
    return Call(trace_id, trace.span_id, parents, _sent(trace), trace.started_at, trace.finished_at)


def _sent(trace: Trace) -> str:
    """Digest of what the model was sent: before an answer was cut off its end, that was the whole conversation."""
    if not trace.split:
        return digest(trace)
    return digest(Trace({"input": {"messages": trace.messages + trace.output_messages}}))


def inner_calls(
    entries: Iterable[T], call: Callable[[T], Call | None], window: int = WINDOW
) -> Iterator[tuple[T, T | None]]:
    """Each entry in order with the entry that logs the same call further in, or None: then it is to be kept.

    Only ``window`` entries before and after an entry are looked at, whatever comes later or came earlier: memory is
    flat, and the result for an entry does not depend on where reading began, ``window`` entries before it or more.
    Entries that are no calls pass at once as long as no call is waiting.
    """
    waiting: deque[tuple[T, Call | None]] = deque()
    past: deque[Call | None] = deque(maxlen=window)
    calls: dict[tuple[str, str], list[tuple[T, Call]]] = {}
    for entry in entries:
        found = call(entry)
        if found is not None:
            calls.setdefault((found.trace_id, found.messages), []).append((entry, found))
        elif not waiting:
            yield entry, None
            continue
        waiting.append((entry, found))
        if len(waiting) > window:
            yield _judged(waiting, past, calls)
    while waiting:
        yield _judged(waiting, past, calls)


def _judged(
    waiting: deque[tuple[T, Call | None]],
    past: deque[Call | None],
    calls: dict[tuple[str, str], list[tuple[T, Call]]],
) -> tuple[T, T | None]:
    """The first of those waiting with its inner span; what leaves the window is forgotten."""
    entry, found = waiting.popleft()
    inner = None
    if found is not None:
        others = calls[found.trace_id, found.messages]
        inner = next((other for other, its in others if its is not found and its.within(found)), None)
    if len(past) == past.maxlen and (gone := past[0]) is not None:
        left = calls[gone.trace_id, gone.messages]
        del left[0]
        if not left:
            del calls[gone.trace_id, gone.messages]
    past.append(found)
    return entry, inner

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datasets_app.core.formats import parse
from datasets_app.core.joining import call_of, continuation, entry_of, group_of, inner_calls, join_sessions, superseded
from datasets_app.core.records import Trace
from tests.datasets_app.core.strategies import any_json


def said(*texts: str) -> list[dict]:
    """Messages of the user and the assistant in turns; a text with a colon names its own role."""
    turns = (text.split(": ", 1) if ": " in text else (None, text) for text in texts)
    return [
        {"role": role or ("assistant" if number % 2 else "user"), "content": text}
        for number, (role, text) in enumerate(turns)
    ]


def turn(*texts: str, session: str = "s1", at: float | None = None, **more) -> Trace:
    """A record as an import makes it: the last text is the answer."""
    *prompt, answer = said(*texts)
    data = {"input": {"messages": prompt}, "output": {"messages": [answer]}}
    return Trace(data, session_id=session, started_at=at, **more)


def joined_of(*traces: Trace) -> list[Trace]:
    return [conversation.trace for conversation in join_sessions(traces)]


def collapsed(*traces: Trace, **options) -> list[tuple[int, int]]:
    entries = (entry_of(number, trace, **options) for number, trace in enumerate(traces))
    return [(found.id, found.kept_id) for found in superseded(e for e in entries if e)]


# --- history repeated turn by turn -----------------------------------------------------------------------------------


def test_each_turn_is_superseded_by_the_longest_conversation_that_begins_so():
    first, second, third = turn("a", "b"), turn("a", "B ", "c", "d"), turn("a", "b", "c", "d", "e", "f")
    assert collapsed(first, third, second) == [(0, 1), (2, 1)]
    found = next(superseded(filter(None, [entry_of(7, first), entry_of(9, third)])))
    assert (found.id, found.kept_id, found.reason) == (
        7,
        9,
        "Its 2 messages are the beginning of a conversation of 6.",
    )


def test_a_call_logged_without_its_answer_is_superseded_too():
    asked = Trace({"input": {"messages": said("a", "b", "c")}}, session_id="s1")
    assert collapsed(asked, turn("a", "b", "c", "d")) == [(0, 1)]


def test_what_went_on_otherwise_is_kept():
    assert collapsed(turn("a", "b"), turn("a", "other", "c", "d")) == []
    assert collapsed(turn("a", "b"), turn("a", "b")) == []  # duplicates, which are found elsewhere
    assert collapsed(turn("a", "b", "c", "d"), turn("a", "b", "x", "y"), turn("a", "b")) == [(2, 0)]


def test_only_one_session_is_one_conversation_and_a_trace_stands_in_for_a_session():
    long = ("a", "b", "c", "d")
    assert collapsed(turn("a", "b", session="s1"), turn(*long, session="s2")) == []
    one, same, other = ({"metadata": {"trace_id": t}, "session": ""} for t in ("t1", "t1", "t2"))
    assert collapsed(turn("a", "b", **one), turn(*long, **same), turn("a", "b", **other)) == [(0, 1)]
    assert [group_of(turn("a", "b", **one)), group_of(turn("a", "b"))] == ["trace t1", "session s1"]
    loose = turn("a", "b", session=""), turn(*long, session="")
    assert entry_of(0, loose[0]) is None
    assert collapsed(*loose, grouped=False) == [(0, 1)]


@given(st.lists(st.tuples(st.sampled_from("xy"), st.lists(st.sampled_from("ab"), min_size=2, max_size=6))))
def test_superseded_is_what_comparing_all_with_all_finds(given):
    records = [(session, texts[: len(texts) // 2 * 2]) for session, texts in given]
    expected = []
    for number, (session, texts) in enumerate(records):
        longer = [
            (-len(other), at)
            for at, (its, other) in enumerate(records)
            if its == session and len(other) > len(texts) and other[: len(texts)] == texts
        ]
        if longer:
            expected.append((number, min(longer)[1]))
    assert collapsed(*(turn(*texts, session=session) for session, texts in records)) == expected


@given(any_json, any_json)
def test_any_record_can_be_an_entry_and_a_call(first, second):
    data = {"input": {"messages": first}, "output": {"messages": second}}
    trace = Trace(data, session_id="s", metadata={"trace_id": first, "parent_id": second})
    entry_of(1, trace)
    call_of(trace)
    join_sessions([trace, trace])


# --- turns logged one by one -----------------------------------------------------------------------------------------


def test_turns_of_a_session_become_one_conversation_in_the_order_of_time():
    later, earlier = turn("c", "d", at=20.0, span_id="2"), turn("a", "b", at=10.0, span_id="1")
    ((parts, joined),) = join_sessions([later, earlier])
    assert parts == [1, 0]
    assert [m["content"] for m in joined.messages] == ["a", "b", "c"]
    assert [m["content"] for m in joined.output_messages] == ["d"]
    assert (joined.span_id, joined.started_at, joined.session_id, joined.metadata) == ("2", 10.0, "s1", {"joined": 2})


def test_history_and_system_prompt_are_not_repeated():
    system = {"role": "system", "content": "Be short."}
    parts = [turn("a", "b"), turn("a", "b", "c", "d"), turn("e", "f")]
    for part in parts:
        part.data["input"]["messages"].insert(0, system)
    (joined,) = joined_of(*parts)
    assert [m["content"] for m in joined.messages] == ["Be short.", "a", "b", "c", "d", "e"]


def test_agents_with_different_system_prompts_stay_apart():
    parts = [turn("a", "b"), turn("c", "d"), turn("e", "f")]
    parts[1].data["input"]["messages"].insert(0, {"role": "system", "content": "You check answers."})
    assert [len(t.messages) for t in joined_of(*parts)] == [3, 2]
    assert [c.parts for c in join_sessions(parts)] == [[0, 2], [1]]


def test_a_trace_without_a_session_is_joined_only_where_it_goes_on():
    where = {"session": "", "metadata": {"trace_id": "t1"}}
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look", "arguments": "{}"}}]}
    asked = turn("a", "b", **where)
    asked.data["output"]["messages"] = [call]
    result = {"role": "tool", "content": "dry"}
    answered = Trace(
        {"input": {"messages": [result]}, "output": {"messages": said("", "No rain.")[1:]}}, metadata={"trace_id": "t1"}
    )
    apart = turn("x", "y", **where)
    joined = joined_of(asked, answered, apart)
    assert [t.metadata for t in joined] == [{"trace_id": "t1", "joined": 2}, {"trace_id": "t1"}]
    conversation = joined[0].messages + joined[0].output_messages
    assert [m["role"] for m in conversation] == ["user", "assistant", "tool", "assistant"]
    assert joined[1] is apart


def test_what_nothing_ties_together_comes_back_as_it_is():
    traces = [turn("a", "b", session=""), Trace("broken", session_id="s1"), turn("a", "b", session="")]
    assert all(a is b for a, b in zip(joined_of(*traces), traces, strict=True))


def test_a_part_with_messages_that_are_none_is_not_joined():
    odd = turn("c", "d")
    odd.data["input"]["messages"].append("a text where a message should be")
    assert joined_of(turn("a", "b"), odd, turn("e", "f"))[1] is odd


def test_a_part_may_start_with_the_end_of_the_one_before():
    assert continuation(said("a", "b", "c"), said("user: c", "assistant: d")) == said("a", "b", "c", "d")
    assert continuation(said("a", "b"), said("x", "y")) is None
    assert continuation(said("a", "b", "c"), said("a", "b")) == said("a", "b", "c")


# --- one call logged at several levels -------------------------------------------------------------------------------


def span(id: str, parent: str = "", start: float = 0.0, end: float = 10.0, text: str = "Ping", trace: str = "t1"):
    metadata = {"trace_id": trace} | ({"parent_id": parent} if parent else {})
    return turn(text, "Pong", session="", span_id=id, metadata=metadata, at=start, finished_at=end)


def kept(*spans: Trace, window: int = 256) -> list[tuple[str, str]]:
    return [(t.span_id, inner.span_id if inner else "") for t, inner in inner_calls(spans, call_of, window)]


def test_of_one_call_at_several_levels_the_deepest_is_kept():
    levels = span("api"), span("model", "api"), span("openai", "model")
    assert kept(*levels) == [("api", "model"), ("model", "openai"), ("openai", "")]
    assert kept(*reversed(levels)) == [("openai", ""), ("model", "openai"), ("api", "model")]


def test_times_tell_where_parents_were_not_exported():
    assert kept(span("api", start=0, end=10), span("openai", "lost", start=1, end=9)) == [
        ("api", "openai"),
        ("openai", ""),
    ]
    assert kept(span("a", start=0, end=10), span("b", start=20, end=30)) == [("a", ""), ("b", "")]


def test_retries_side_by_side_other_traces_and_other_messages_are_kept():
    assert kept(span("a", "top", 0, 10), span("b", "top", 2, 8)) == [("a", ""), ("b", "")]
    apart = span("a"), span("b", "a", trace="t2"), span("c", "a", text="Other")
    assert kept(*apart) == [("a", ""), ("b", ""), ("c", "")]
    assert kept(span("a", "b"), span("b", "a")) == [("a", ""), ("b", "")]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30), st.integers(0, 25), st.integers(1, 6))
def test_the_result_does_not_depend_on_where_reading_began(links, start, window):
    spans = [span(f"s{own}", f"s{parent}" if parent else "") for own, parent in links]
    whole = kept(*spans, window=window)
    begin = max(0, start - window)
    assert kept(*spans[begin:], window=window)[start - begin :] == whole[start:]
    assert [own for own, _ in whole] == [s.span_id for s in spans]


def test_records_that_are_no_spans_pass_at_once():
    drawn = []

    def source():
        for number in range(5):
            drawn.append(number)
            yield turn("a", "b")

    assert next(inner_calls(source(), call_of))[1] is None
    assert drawn == [0]


# --- the session of a record -----------------------------------------------------------------------------------------


def test_formats_say_the_session_of_a_record():
    message = [{"role": "user", "content": "Hi"}]
    assert parse({"messages": message, "session_id": 7}, "chat").session_id == "7"
    assert parse({"messages": message, "metadata": {"thread_id": "th1"}}, "chat").session_id == "th1"
    assert parse({"input": {"messages": message}, "session_id": "s1"}, "canonical").session_id == "s1"
    assert parse({"input": {"messages": message}, "metadata": {"conversation_id": "c"}}, "canonical").session_id == "c"
    log = {"request": {"model": "m", "messages": message}, "response": {"choices": []}, "sessionId": "s2"}
    assert parse(log, "openai_chat").session_id == "s2"

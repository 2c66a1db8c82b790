"""What real systems export, read and compared with what others made of the same exports.

Langfuse's own normalisation stands beside each of its traces; where ours differs, the table says why. The recorded HTTP
calls were converted once before, by other code; the streams are checked against their own deltas.
"""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from datasets_app.core.joining import entry_of, superseded
from datasets_app.core.reading import Parsed, Rejected, UnreadableFile, read_traces
from datasets_app.core.records import Trace, dumps, loads, user_text
from rft_project.platforms.types import text_of
from tests.datasets_app.core.real_data import real

NATIVE = ("dev-native-exports", "native")
_ROLES = {"model": "assistant", "developer": "system"}


def calls(message: dict) -> list[tuple]:
    functions = [call.get("function", call) for call in message.get("tool_calls") or []]
    return [(f["name"], json.dumps(json.loads(f["arguments"]), sort_keys=True)) for f in functions]


def said(messages: list[dict]) -> list[tuple]:
    """Roles, texts and tool calls: what the two sides are compared by."""
    rows = []
    for message in messages:
        role, content = message.get("role"), message.get("content")
        text = json.dumps(content) if isinstance(content, dict) else text_of(content)
        rows.append((_ROLES.get(role, role), text, calls(message)))
    return rows


def read(*parts: str) -> tuple[list[Parsed], list[Rejected]]:
    entries = list(read_traces(real(*NATIVE, *parts)))
    return [e for e in entries if isinstance(e, Parsed)], [e for e in entries if isinstance(e, Rejected)]


# --- Langfuse --------------------------------------------------------------------------------------------------------

ONE_CALL_TWICE = "The same call is logged once more, further in, in this line; that one is kept."
AS_TEXT = "The messages were logged as text of Python objects, not as JSON, so they can't be read safely."
NOT_RECORDED = "The call holds no messages; its content was not recorded."
# export -> (records, what is said of the generations left out)
LANGFUSE = {
    "agno-2025-06-11": (1, f"3 of 4 calls in this line were left out: {AS_TEXT}"),
    "autogen-2025-06-06": (1, ""),
    # two generations of five are events of a call's end and hold nothing
    "beeai-2025-08-01": (3, f"2 of 5 calls in this line were left out: {NOT_RECORDED}"),
    # three of four say {"content": "role"}: an instrumentation that lost its input
    "claude-agent-2025-12-22": (1, f"3 of 4 calls in this line were left out: {NOT_RECORDED}"),
    "crewai-2025-07-11": (1, ""),
    "csharp-agent-with-gemini-2026-03-09": (3, ""),
    "google-adk-2025-08-28": (2, ""),
    "google-gemini-2025-08-01": (1, ""),
    "koog-2025-08-26": (2, ""),
    "langgraph-js-2025-10-30": (2, ""),
    "langgraph-python-2025-08-22": (2, ""),
    "llamaindex-2025-06-05": (1, ""),
    "microsoft-agent-2025-12-17": (2, ""),
    "openai-agents-2025-09-30": (2, ""),
    "pydantic-ai-2025-06-06": (1, ""),
    "pydantic-ai-tools-2025-06-06": (1, ""),
    "pydantic-ai-tools-2025-12-04": (4, ""),
    "pydantic-ai-with-gemini-2025-12-24": (1, ""),
    "vercel-aisdk-2025-11-17": (1, f"1 of 2 calls in this line were left out: {ONE_CALL_TWICE}"),
    "vertex-ai-2025-08-01": (1, ""),
}
FLATTENED = "the messages were flattened to one text, which Langfuse leaves as it is and we take apart"
NO_OUTPUT = "the output is plain text or was not recorded, of which Langfuse makes no message"
CUT = "no output was recorded; what the model said last in the input is taken for its answer"
RESULT_OF_TOOL = "what a tool answered is said by the user or by the tool's name there, by a tool with us"
CALLS_AS_TEXT = "tool calls were logged as JSON text, which we read"
WRAPPED = "a message inside an object, or text inside one, is a message with us"
# (export, observation, side) -> why ours is not Langfuse's
DIFFERENT = {
    ("agno-2025-06-11", "1f883bb9668167c0", "input"): FLATTENED,
    ("agno-2025-06-11", "1f883bb9668167c0", "output"): NO_OUTPUT,
    ("autogen-2025-06-06", "83517f9062f5ada4", "input"): FLATTENED,
    ("autogen-2025-06-06", "83517f9062f5ada4", "output"): NO_OUTPUT,
    ("beeai-2025-08-01", "1f956cbea34725bd", "output"): NO_OUTPUT,
    ("beeai-2025-08-01", "4c5c5a7936ca24bc", "input"): CUT,
    ("beeai-2025-08-01", "4c5c5a7936ca24bc", "output"): CUT,
    ("beeai-2025-08-01", "52df0f7f9dad6b23", "input"): CUT,
    ("beeai-2025-08-01", "52df0f7f9dad6b23", "output"): CUT,
    ("claude-agent-2025-12-22", "e9aac170e5d48125", "input"): WRAPPED,
    ("crewai-2025-07-11", "231c43964b7e7e63", "output"): NO_OUTPUT,
    ("google-adk-2025-08-28", "bded677884f031ce", "input"): RESULT_OF_TOOL,
    ("koog-2025-08-26", "e44e72cf2d221781", "input"): CALLS_AS_TEXT,
    ("koog-2025-08-26", "042f9350c3729147", "output"): CALLS_AS_TEXT,
    ("langgraph-js-2025-10-30", "0856a1825ccee968", "input"): RESULT_OF_TOOL,
    ("llamaindex-2025-06-05", "7ca8b22f6628d0c7", "input"): WRAPPED,
    ("llamaindex-2025-06-05", "7ca8b22f6628d0c7", "output"): NO_OUTPUT,
    ("pydantic-ai-2025-06-06", "5cb389a3bdd21a6e", "output"): WRAPPED,
    ("pydantic-ai-tools-2025-06-06", "5cb389a3bdd21a6e", "output"): WRAPPED,
}


def oracle(side: dict | None) -> list[tuple] | None:
    return said(side["data"]) if side and side.get("success") else None


@pytest.mark.parametrize("name", LANGFUSE)
def test_langfuse_traces_are_what_langfuse_makes_of_them(name):
    parsed, rejected = read("langfuse", f"{name}.trace.json")
    normalised = json.loads(real(*NATIVE, "langfuse", f"{name}.chatml.json").read_text())
    assert (len(parsed), "".join(e.reason for e in rejected)) == LANGFUSE[name]
    assert {e.format for e in parsed} == {"langfuse"}
    different = set()
    for trace in (entry.trace for entry in parsed):
        theirs = normalised[trace.span_id]
        for side, ours in (("input", trace.messages), ("output", trace.output_messages)):
            if oracle(theirs.get(side)) != said(ours):
                different.add((name, trace.span_id, side))
        assert loads(dumps(trace)) == trace
        assert trace.metadata["trace_id"] and trace.started_at
    assert different == {key for key in DIFFERENT if key[0] == name}


def test_every_langfuse_export_has_its_line_here():
    names = {path.name.split(".")[0] for path in real(*NATIVE, "langfuse").glob("*.trace.json")}
    assert names == set(LANGFUSE)


def test_sessions_come_from_the_trace():
    parsed, _ = read("langfuse", "autogen-2025-06-06.trace.json")
    assert [e.trace.session_id for e in parsed] == ["session_abc"]


# --- recorded HTTP calls ---------------------------------------------------------------------------------------------

FAILED = "The call failed, so there is no answer to keep"
CUT_OFF = "The answer was cut off"
LOST = "The response is not a chat completion"
# file -> (records by format, of them without an answer, rejections by reason)
HTTP = {
    "anthropic_messages": ({"anthropic": 42}, 0, {}),
    "azure_openai_chat": ({"openai_chat": 33}, 1, {LOST: 18, FAILED: 2}),
    # 27 streams were not recorded: their prompts are whole and are kept
    "bedrock": ({"bedrock_calls": 51, "anthropic": 20, "cohere": 1}, 27, {CUT_OFF: 15, FAILED: 2}),
    "cohere_chat": ({"cohere": 34}, 0, {FAILED: 2}),
    "gemini": ({"gemini": 24}, 1, {FAILED: 3}),
    "openai_chat": ({"openai_chat": 242}, 0, {LOST: 45, FAILED: 3, CUT_OFF: 2}),
    "openai_compatible_chat": ({"openai_chat": 22}, 0, {LOST: 12, CUT_OFF: 2}),
    "openai_completions": ({"openai_completions": 3}, 0, {CUT_OFF: 45}),
    "openai_responses": ({"openai_responses": 84}, 0, {FAILED: 1}),
}


def reasons(rejected: list[Rejected]) -> dict[str, int]:
    return dict(Counter(re.split(r"[:(]", entry.reason)[0].strip() for entry in rejected))


@pytest.mark.parametrize("name", HTTP)
def test_recorded_calls_of_every_vendor(name):
    parsed, rejected = read("http_logs", f"{name}.jsonl")
    formats, unanswered, refused = HTTP[name]
    assert Counter(e.format for e in parsed) == formats
    assert sum(not e.trace.output_messages for e in parsed) == unanswered
    assert reasons(rejected) == refused
    with real(*NATIVE, "http_logs", f"{name}.jsonl").open() as lines:
        assert sum(1 for _ in lines) == len(parsed) + len(rejected)
    for entry in parsed:
        assert entry.trace.messages and loads(dumps(entry.trace)) == entry.trace
        assert entry.trace.metadata["status"] == 200
        assert entry.trace.started_at


def test_failed_calls_keep_their_own_words():
    _, rejected = read("http_logs", "cohere_chat.jsonl")
    assert rejected[0].reason.startswith(f"{FAILED}: model 'command-r' was removed on September 15, 2025.")
    _, rejected = read("http_logs", "openai_responses.jsonl")
    assert [e.reason for e in rejected] == [
        f"{FAILED}: The requested model 'this-model-does-not-exist' does not exist."
    ]


STREAMED = "the other conversion left out what was streamed or called, we put it together"
FIRST_CHOICE = "of several choices we keep the first"
_ANTHROPIC_STREAMS = (3, 4, 5, 6, 8, 9, 10, 15, 16, 17, 18, 20, 21, 22, 23, 27, 28, 31, 32, 37, 39)
_OPENAI_CALLS = (43, 44, 45, 48, 202, 203, 204, 205, 227, 228, 229, 230)
# file -> line -> why the answer is not that of the other conversion
ANSWERS = {
    "anthropic_messages": dict.fromkeys(_ANTHROPIC_STREAMS, STREAMED),
    "azure_openai_chat": {},
    "openai_chat": dict.fromkeys(_OPENAI_CALLS, STREAMED) | dict.fromkeys((196, 197, 267, 282), FIRST_CHOICE),
    "openai_compatible_chat": {},
}


@pytest.mark.parametrize("name", ANSWERS)
def test_recorded_calls_are_what_another_conversion_made_of_them(name):
    rows = [json.loads(line) for line in real("dev-native-exports", "raw_traces.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["metadata"]["provider"] == name]
    logs = [json.loads(line) for line in real(*NATIVE, "http_logs", f"{name}.jsonl").read_text().splitlines()]
    parsed = {entry.line: entry.trace for entry in read("http_logs", f"{name}.jsonl")[0]}
    different, compared = set(), 0
    for number, log in enumerate(logs, 1):
        about = rows[0]["metadata"] if rows else {}
        if (about.get("timestamp"), about.get("status")) != (log["timestamp"], log["status"]):
            continue  # one call of Azure's is not in the other conversion
        row, trace = rows.pop(0), parsed.get(number)
        if trace is None:  # cut off, failed or lost: there the other has no answer, or half of one
            continue
        compared += 1
        assert said(trace.messages) == said(row["input"]["messages"])
        if said(trace.output_messages) != said(row["output"]["messages"]):
            different.add(number)
    assert (rows, different) == ([], set(ANSWERS[name]))
    assert compared == len(parsed) - (name == "azure_openai_chat")


def deltas(stream: str) -> str:
    """The texts of a stream's deltas, whatever the vendor."""
    texts = []
    for line in stream.splitlines():
        event = json.loads(line.removeprefix("data:")) if line.startswith(("data: {", "data:{", "{")) else {}
        delta, kind = event.get("delta"), event.get("type")
        if kind == "response.output_text.delta":
            texts.append(delta)
        elif kind == "content_block_delta":
            texts.append(delta.get("text", ""))
        elif kind == "content-delta":
            texts.append(delta["message"]["content"]["text"])
        elif event.get("event_type") == "text-generation":
            texts.append(event["text"])
        for candidate in event.get("candidates", ()):
            texts += [part["text"] for part in candidate["content"].get("parts", ()) if "text" in part]
    return "".join(texts)


@pytest.mark.parametrize(
    ("name", "streams"), [("anthropic_messages", 21), ("openai_responses", 38), ("cohere_chat", 12), ("gemini", 4)]
)
def test_streams_say_what_their_deltas_say(name, streams):
    logs = [json.loads(line) for line in real(*NATIVE, "http_logs", f"{name}.jsonl").read_text().splitlines()]
    traces = {entry.line: entry.trace for entry in read("http_logs", f"{name}.jsonl")[0]}
    compared = 0
    for number, log in enumerate(logs, 1):
        if isinstance(log["response"], str):
            compared += 1
            texts = [text_of(m.get("content")) for m in traces[number].output_messages]
            assert "".join(texts) == deltas(log["response"])
    assert compared == streams


def test_tool_calls_of_streams_and_answers_are_whole():
    traces = [entry.trace for entry in read("http_logs", "anthropic_messages.jsonl")[0]]
    names = Counter(call["function"]["name"] for t in traces for call in t.output["tool_calls"])
    started: Counter[str] = Counter()
    for line in real(*NATIVE, "http_logs", "anthropic_messages.jsonl").read_text().splitlines():
        response = json.loads(line)["response"]
        blocks = response["content"] if isinstance(response, dict) else []
        started.update(block["name"] for block in blocks if block["type"] == "tool_use")
        if isinstance(response, str):
            started.update(re.findall(r'"type":"tool_use","id":"\w+","name":"(\w+)"', response))
    assert names == started and names.total() == 13
    assert all(calls(message) for t in traces for message in t.output_messages if message.get("tool_calls"))


def test_bedrock_invocation_logs():
    entries = list(read_traces(real("dev-native-exports", "bedrock_invocation_log.jsonl")))
    parsed = [entry.trace for entry in entries if isinstance(entry, Parsed)]
    rejected = [entry for entry in entries if isinstance(entry, Rejected)]
    # 27 streams were logged without their events: their prompts are kept without an answer
    assert (len(parsed), sum(not t.output_messages for t in parsed)) == (72, 27)
    assert reasons(rejected) == {CUT_OFF: 15, FAILED: 2}
    assert {t.metadata["operation"] for t in parsed} == {
        "Converse",
        "ConverseStream",
        "InvokeModel",
        "InvokeModelWithResponseStream",
    }
    assert all(t.span_id and t.started_at and t.metadata["model"] for t in parsed)
    # the same calls, logged as requests and responses
    calls_beside, _ = read("http_logs", "bedrock.jsonl")
    assert [said(t.messages) for t in parsed] == [said(e.trace.messages) for e in calls_beside]
    assert [said(t.output_messages) for t in parsed] == [said(e.trace.output_messages) for e in calls_beside]


# --- odd JSON and odd text -------------------------------------------------------------------------------------------


def test_files_of_odd_json_are_refused_or_read_and_never_crash():
    outcomes: Counter[tuple[str, str]] = Counter()
    for path in sorted(real(*NATIVE, "json_edge").glob("*.json")):
        try:
            kinds = {type(entry).__name__ for entry in read_traces(path)}
        except UnreadableFile as error:
            assert str(error)
            kinds = {"unreadable"}
        outcomes[path.name[0], "+".join(sorted(kinds))] += 1
    assert not any(kind == "n" and "Parsed" in outcome for kind, outcome in outcomes)
    assert sum(outcomes.values()) == 95 + 185 + 35


def test_naughty_strings_survive(tmp_path):
    strings = [text for text in json.loads(real(*NATIVE, "blns.json").read_text()) if text.strip()]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"messages": [{"role": "user", "content": text}]}) for text in strings))
    traces = [entry.trace for entry in read_traces(path)]
    assert [user_text(trace) for trace in traces] == strings
    assert [user_text(loads(dumps(trace))) for trace in traces] == strings


# --- runs of agents and data sets ------------------------------------------------------------------------------------


def test_runs_of_an_agent():
    path = real("dev-agent-airline", "native", "tau_bench_gpt-4o-airline.json")
    traces = [entry.trace for entry in read_traces(path)]
    given = json.loads(path.read_text())
    # 51 runs end with a tool's result (the customer was handed over); repairs cut them back to the last user message
    assert Counter(t.messages[-1]["role"] for t in traces) == {"user": 149, "tool": 51}
    assert Counter(run["traj"][-1]["role"] for run in given)["tool"] == 51
    assert [t.metadata["reward"] for t in traces] == [run["reward"] for run in given]
    assert [len(t.messages) + len(t.output_messages) for t in traces] == [len(run["traj"]) for run in given]


def test_calls_that_repeat_their_history_are_superseded():
    traces = [entry.trace for entry in read_traces(real("dev-agent-airline", "raw_traces_calls.jsonl"))]
    entries = [entry_of(number, trace) for number, trace in enumerate(traces)]
    found = list(superseded(entry for entry in entries if entry is not None))
    kept = len(traces) - len(found)
    assert (len(traces), len(found), kept) == (154, 141, 13)  # 13 conversations
    assert {f.kept_id for f in found} <= set(range(154)) - {f.id for f in found}


def test_sets_for_reinforcement_fine_tuning():
    folder = real("dev-rft-gsm8k", "native")
    counts = {
        path.name: Counter(e.format if isinstance(e, Parsed) else "rejected" for e in read_traces(path))
        for path in sorted(folder.glob("*.jsonl"))
    }
    assert counts == {
        "azure_countdown_train_100.jsonl": {"chat": 100},
        "azure_countdown_valid_50.jsonl": {"chat": 50},
        "bedrock_rft_test_validation_data.jsonl": {"chat": 100},
        "bedrock_rft_train_data.jsonl": {"chat": 300},
        "example_model_solutions.jsonl": {"table": 1319},
        "gsm8k_test.jsonl": {"table": 1319},
    }
    first = next(iter(read_traces(folder / "gsm8k_test.jsonl")))
    assert isinstance(first, Parsed) and isinstance(first.trace, Trace)
    assert text_of(first.trace.output_messages[0]["content"]).endswith("#### 18")


def test_sentences_with_personal_data():
    path = real("dev-labelled", "native", "presidio_synth_dataset_v2.json")
    traces = [entry.trace for entry in read_traces(path)]
    beside = [entry.trace for entry in read_traces(real("dev-labelled", "pii_traces.jsonl"))]
    assert [user_text(t) for t in traces] == [user_text(t) for t in beside]
    assert len(traces) == 1500

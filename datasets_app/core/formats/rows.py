"""Rows of data sets: ShareGPT and Alpaca conversations, tau-bench runs, and tables of questions and answers."""

from __future__ import annotations

from typing import Any

from datasets_app.core.formats.base import Format, chat_input, parsed, session_of, split_answer
from datasets_app.core.formats.turns import Turns
from datasets_app.core.formats.turns_parts import tools_of
from datasets_app.core.records import Trace, Unreadable, clean_id
from rft_project.platforms.types import JsonDict

# --- ShareGPT --------------------------------------------------------------------------------------------------------


def recognise_sharegpt(line: JsonDict) -> bool:
    turns = parsed(line.get("conversations"))
    return isinstance(turns, list) and (
        not turns or (isinstance(turns[0], dict) and bool({"from", "role"} & turns[0].keys()))
    )


def read_sharegpt(line: JsonDict) -> Trace:
    """Preference data (``chosen`` and ``rejected``) keeps both as item fields."""
    turns = Turns()
    if isinstance(line.get("system"), str) and line["system"]:
        turns.add({"role": "system", "content": line["system"]})
    turns.add_all(parsed(line.get("conversations")))
    return _row(line, turns, frozenset({"conversations", "system", "tools", "id"}), line.get("tools"))


# --- Alpaca ----------------------------------------------------------------------------------------------------------


def recognise_alpaca(line: JsonDict) -> bool:
    return isinstance(line.get("instruction"), str) and bool({"output", "input", "response", "answer"} & line.keys())


def read_alpaca(line: JsonDict) -> Trace:
    turns = Turns()
    if isinstance(line.get("system"), str) and line["system"]:
        turns.add({"role": "system", "content": line["system"]})
    history = line.get("history")
    for pair in history if isinstance(history, list) else ():
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair):
            turns.add(pair[0])
            turns.add(pair[1], "assistant")
    asked = [line.get("instruction"), line.get("input")]
    turns.add("\n".join(text for text in asked if isinstance(text, str) and text))
    for name in ("output", "response", "answer"):
        if isinstance(line.get(name), str):
            turns.add(line[name], "assistant")
            break
    used = frozenset({"instruction", "input", "output", "response", "answer", "history", "system", "tools", "id"})
    return _row(line, turns, used, line.get("tools"))


# --- tau-bench -------------------------------------------------------------------------------------------------------


def recognise_tau(line: JsonDict) -> bool:
    return isinstance(line.get("traj"), list) and ("reward" in line or "task_id" in line)


def read_tau(line: JsonDict) -> Trace:
    turns = Turns()
    turns.add_all(line.get("traj"))
    trace = _row(line, turns, frozenset(line), None)
    trace.metadata = {name: line[name] for name in line if name not in ("traj", "messages") and line[name] is not None}
    return trace


# --- tables ----------------------------------------------------------------------------------------------------------

_QUESTIONS = ("prompt", "question", "query", "user_message", "user", "input", "instruction", "text", "full_text")
_ANSWERS = ("completion", "response", "answer", "output", "assistant_message", "assistant", "model_answer")
_SYSTEMS = ("system", "system_prompt")


def recognise_table(line: JsonDict) -> bool:
    """A record of ours with its input broken has an answer in our own form: it is told as broken, not read as a row."""
    output = line.get("output")
    ours = isinstance(output, dict) and "messages" in output
    return not ours and _question(line) is not None


def _question(line: JsonDict) -> str | None:
    for name in _QUESTIONS:
        given = line.get(name)
        if (isinstance(given, str) and given.strip()) or _is_messages(given):
            return name
    return None


def _is_messages(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and isinstance(given[0], dict) and "role" in given[0]


def read_table(line: JsonDict) -> Trace:
    """One column is what the user says, another the answer; every other column becomes an item field."""
    name = _question(line)
    if name is None:
        names = ", ".join(_QUESTIONS)
        raise Unreadable(f"The row has no column with a prompt; the names known are {names}.")
    turns = Turns()
    for system in _SYSTEMS:
        if isinstance(line.get(system), str) and line[system].strip():
            turns.add({"role": "system", "content": line[system]})
    turns.add_all(line[name])
    answer = next((a for a in _ANSWERS if a != name and isinstance(line.get(a), str) and line[a]), None)
    if answer is not None:
        turns.add(line[answer], "assistant")
    return _row(line, turns, frozenset({name, answer or name, "tools", "id", *_SYSTEMS}), line.get("tools"))


_PLACES = frozenset({"metadata", "reference_answer", "span_id", "session_id", "started_at", "finished_at"})


def _row(line: JsonDict, turns: Turns, used: frozenset[str], tools: Any) -> Trace:
    """A record of a row: keys beside the conversation become item fields."""
    if not turns.messages:
        raise Unreadable("The conversation is empty.")
    metadata = parsed(line.get("metadata"))
    trace = Trace(
        data={"input": chat_input(turns.messages, tools_of(tools))},
        reference_answer=line.get("reference_answer"),
        has_reference="reference_answer" in line,
        fields={k: v for k, v in line.items() if k not in used and k not in _PLACES and v is not None},
        metadata=dict(metadata) if isinstance(metadata, dict) else {},
        span_id=clean_id(line.get("span_id")) or clean_id(line.get("id")),
        session_id=session_of(line, metadata),
    )
    return split_answer(trace)


SHAREGPT = Format("sharegpt", "ShareGPT conversations", recognise_sharegpt, read_sharegpt)
ALPACA = Format("alpaca", "Alpaca instructions", recognise_alpaca, read_alpaca)
TAU = Format("tau_bench", "tau-bench runs", recognise_tau, read_tau)
TABLE = Format("table", "Rows with a prompt and an answer", recognise_table, read_table)

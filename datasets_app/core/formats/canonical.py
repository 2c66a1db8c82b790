"""Our own form: ``{"input": {"messages": …}, "output": …}``, flat or under ``data``."""

from __future__ import annotations

from datasets_app.core.formats.base import Format, session_of, split_answer
from datasets_app.core.records import Trace, from_canonical
from rft_project.platforms.types import JsonDict


def recognise(line: JsonDict) -> bool:
    payload = line.get("data", line)
    if not isinstance(payload, dict):
        return False
    given = payload.get("input")
    return isinstance(given, dict) and "messages" in given


def accepts(line: JsonDict) -> bool:
    """A record of ours with its input or its payload broken."""
    payload = line.get("data", line)
    if not isinstance(payload, dict):
        return "data" in line and not isinstance(payload, list)
    if "input" in payload:
        given = payload["input"]
        return given is None or (isinstance(given, dict) and given.keys() <= {"tools", "tool_choice"})
    output = payload.get("output")
    return isinstance(output, dict) and "messages" in output


def read(line: JsonDict) -> Trace:
    """The form says itself what is input and what is output, so it is split only where it has no output at all."""
    trace = from_canonical(line)
    trace.session_id = trace.session_id or session_of(trace.metadata)
    if isinstance(trace.data, dict) and trace.data.get("output") is None:
        return split_answer(trace)
    return trace


FORMAT = Format("canonical", "RFT Studio records", recognise, read, accepts)

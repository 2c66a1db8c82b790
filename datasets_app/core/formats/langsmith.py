"""LangSmith runs: those of type ``llm`` are calls of a model, in OpenAI's form or in LangChain's."""

from __future__ import annotations

from typing import Any

from datasets_app.core.formats.base import Format, NoCall, parsed, session_of
from datasets_app.core.formats.bodies import exchange_of, failed
from datasets_app.core.formats.building import trace_of
from datasets_app.core.formats.turns_parts import tools_of
from datasets_app.core.records import Trace
from rft_project.platforms.types import JsonDict

_KEPT = ("name", "tags", "feedback_stats", "reference_example_id", "trace_id")


def recognise(line: JsonDict) -> bool:
    return "run_type" in line and ("inputs" in line or "dotted_order" in line)


def read(line: JsonDict) -> Trace:
    if line.get("run_type") != "llm":
        raise NoCall(f"A run of type {str(line.get('run_type'))[:40]} is no call of a model.")
    if line.get("error"):
        raise failed(line["error"])
    inputs, extra = parsed(line.get("inputs")), parsed(line.get("extra"))
    extra = extra if isinstance(extra, dict) else {}
    about = extra.get("metadata")
    own: JsonDict = about if isinstance(about, dict) else {}
    called = next(
        (p for p in (extra.get("invocation_params"), own.get("ls_invocation_params")) if isinstance(p, dict)), {}
    )
    answer, usage = _answer(parsed(line.get("outputs")))
    exchange = exchange_of(inputs, answer)
    exchange.tools = exchange.tools or tools_of(called.get("tools"))
    exchange.model = own.get("ls_model_name") or called.get("model") or called.get("model_name") or exchange.model
    exchange.usage = exchange.usage or usage
    exchange.parameters = exchange.parameters or {
        k: v for k, v in called.items() if k not in ("tools", "model", "model_name", "_type") and v is not None
    }
    metadata = {name: line.get(name) for name in _KEPT}
    metadata |= {"parent_id": line.get("parent_run_id"), "project_id": line.get("session_id")}
    metadata |= {k: v for k, v in own.items() if not k.startswith("ls_") and k not in metadata}
    exchange.id = None
    return trace_of(
        exchange,
        line,
        metadata,
        span_id=line.get("id"),
        session_id=session_of(own),  # LangSmith's own session is the whole project
        started=line.get("start_time"),
        finished=line.get("end_time"),
    )


def _answer(outputs: Any) -> tuple[Any, Any]:
    """(what to read as the response, usage) of LangChain's generations or of anything else."""
    generations = outputs.get("generations") if isinstance(outputs, dict) else None
    first: Any = generations
    while isinstance(first, list) and first:
        first = first[0]
    if not isinstance(first, dict):
        return outputs, None
    info, message = first.get("generation_info"), first.get("message")
    reason = info.get("finish_reason") if isinstance(info, dict) else None
    about = outputs.get("llm_output")
    usage = about.get("token_usage") if isinstance(about, dict) else None
    given = message if isinstance(message, dict) else first.get("text")
    return {"choices": [{"message": given, "finish_reason": reason}]}, usage


FORMAT = Format("langsmith", "LangSmith runs", recognise, read)

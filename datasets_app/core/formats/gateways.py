"""Logs of gateways that stand between an application and the models: Helicone, LiteLLM, vLLora."""

from __future__ import annotations

from datasets_app.core.formats.base import Format, NoCall, parsed, session_of
from datasets_app.core.formats.bodies import exchange_of, failed
from datasets_app.core.formats.building import beside, trace_of
from datasets_app.core.formats.pairs import refuse_status
from datasets_app.core.records import Trace, Unreadable, clean_id
from rft_project.platforms.types import JsonDict

# --- Helicone --------------------------------------------------------------------------------------------------------

_HELICONE = frozenset({"request_body", "response_body", "request_created_at", "response_created_at", "request_id"})


def recognise_helicone(line: JsonDict) -> bool:
    return ("request_body" in line or "signed_body_url" in line) and (
        "request_created_at" in line or "request_id" in line
    )


def read_helicone(line: JsonDict) -> Trace:
    refuse_status(line, parsed(line.get("response_body")))
    body = line.get("request_body")
    if body is None:
        raise Unreadable("The export has no bodies; export again with the bodies included.")
    exchange = exchange_of(body, line.get("response_body"))
    properties = line.get("request_properties")
    found = properties.items() if isinstance(properties, dict) else ()
    session = next((v for k, v in found if k.lower() == "helicone-session-id"), None)
    metadata = beside(line, _HELICONE)
    metadata["model"] = exchange.model or line.get("response_model") or line.get("request_model")
    metadata["user_id"] = metadata.pop("request_user_id", None)
    return trace_of(
        exchange,
        line,
        metadata,
        span_id=line.get("request_id"),
        session_id=clean_id(session) or session_of(properties),
        started=line.get("request_created_at"),
        finished=line.get("response_created_at"),
    )


# --- LiteLLM ---------------------------------------------------------------------------------------------------------

_LITELLM = frozenset(
    {"messages", "response", "model_parameters", "startTime", "endTime", "id", "status", "error_str", "hidden_params"}
)


def recognise_litellm(line: JsonDict) -> bool:
    return "call_type" in line and ("model_group" in line or "hidden_params" in line or "custom_llm_provider" in line)


def read_litellm(line: JsonDict) -> Trace:
    if line.get("status") == "failure":
        raise failed(line.get("error_str") or line.get("error_information"))
    parameters = parsed(line.get("model_parameters"))
    parameters = parameters if isinstance(parameters, dict) else {}
    asked = {"messages": parsed(line.get("messages")), **{k: parameters.get(k) for k in ("tools", "tool_choice")}}
    exchange = exchange_of(asked, line.get("response"))
    exchange.parameters = {k: v for k, v in parameters.items() if k not in ("tools", "tool_choice") and v is not None}
    metadata = beside(line, _LITELLM)
    metadata["model"] = line.get("model") or exchange.model
    metadata["user_id"] = metadata.pop("end_user", None)
    return trace_of(
        exchange,
        line,
        metadata,
        span_id=line.get("id"),
        session_id=session_of(line, line.get("metadata")),
        started=line.get("startTime"),
        finished=line.get("endTime"),
    )


# --- vLLora ----------------------------------------------------------------------------------------------------------

_VLLORA = ("trace_id", "run_id", "operation_name")


def recognise_vllora(line: JsonDict) -> bool:
    return "operation_name" in line and isinstance(parsed(line.get("attribute")), dict)


def read_vllora(line: JsonDict) -> Trace:
    """A span holds a call where its attributes hold a request. The same call is logged at several levels."""
    attribute = parsed(line.get("attribute"))
    attribute = attribute if isinstance(attribute, dict) else {}
    if attribute.get("error"):
        raise failed(attribute["error"])
    request = parsed(attribute.get("request"))
    if not isinstance(request, dict):
        raise NoCall(f"The span {str(line.get('operation_name'))[:60]} holds no request to a model.")
    exchange = exchange_of(request, attribute.get("output", attribute.get("response")))
    metadata: JsonDict = {name: line.get(name) for name in _VLLORA}
    metadata["parent_id"] = line.get("parent_span_id")
    return trace_of(
        exchange,
        line,
        metadata,
        session_id=session_of(line),
        started=line.get("start_time_us"),
        finished=line.get("finish_time_us"),
    )


HELICONE = Format("helicone", "Helicone export", recognise_helicone, read_helicone)
LITELLM = Format("litellm", "LiteLLM log", recognise_litellm, read_litellm)
VLLORA = Format("vllora", "vLLora spans", recognise_vllora, read_vllora)

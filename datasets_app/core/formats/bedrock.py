"""Amazon Bedrock: model invocation logs, and request and response of Converse or InvokeModel in one line."""

from __future__ import annotations

from typing import Any

from datasets_app.core.formats.base import Format, NoCall, parsed, session_of
from datasets_app.core.formats.bodies import exchange_of, failed
from datasets_app.core.formats.building import beside, trace_of
from datasets_app.core.formats.pairs import vendor_format
from datasets_app.core.records import Trace, Unreadable, clean_id
from rft_project.platforms.types import JsonDict

_OPERATIONS = ("Converse", "InvokeModel")
_USED = frozenset({"schemaType", "schemaVersion", "input", "output", "timestamp", "requestId", "modelId"})
# A model's own body names one of these on the way in, or the answer one of those on the way out.
_ASKS = frozenset({"inputText", "toolConfig", "inferenceConfig", "guardrailConfig", "textGenerationConfig"})
_ANSWERS = frozenset({"stopReason", "generation", "results", "generations", "completions", "completion", "outputs"})


def recognise_log(line: JsonDict) -> bool:
    return line.get("schemaType") == "ModelInvocationLog"


def read_log(line: JsonDict) -> Trace:
    """A stream whose events were not recorded leaves a prompt without an answer.

    Raises ``Unreadable`` for a failed call and for bodies that are not in the log.
    """
    operation = line.get("operation")
    if not isinstance(operation, str) or not operation.startswith(_OPERATIONS):
        raise NoCall(f"The operation {str(operation)[:60]} is no call of a chat model.")
    if line.get("errorCode"):
        raise failed(line.get("errorMessage") or line["errorCode"])
    given, answered = (_side(line.get(name), name) for name in ("input", "output"))
    if given is None:
        raise Unreadable("The log holds no request, so there is no prompt.")
    exchange = exchange_of(given, answered)
    exchange.model = line.get("modelId") or exchange.model
    metadata = beside(line, _USED)
    metadata.setdefault("usage", exchange.usage or _counts(line))
    return trace_of(
        exchange,
        line,
        metadata,
        span_id=line.get("requestId"),
        session_id=session_of(line.get("requestMetadata")),
        started=line.get("timestamp"),
    )


def _counts(line: JsonDict) -> JsonDict:
    """Token counts as the log itself has them."""
    sides = [side for side in (line.get("input"), line.get("output")) if isinstance(side, dict)]
    return {k: side[k] for side in sides for k in ("inputTokenCount", "outputTokenCount") if k in side}


def _side(side: Any, name: str) -> Any:
    """The body of one side, which may be JSON text or a list of a stream's events."""
    if not isinstance(side, dict):
        return None
    body = side.get(f"{name}BodyJson")
    if body is None and side.get(f"{name}BodyS3Path"):
        raise Unreadable(
            f"The {name} was too big for the log and is in S3: {clean_id(side[f'{name}BodyS3Path'])[:120]}."
        )
    return parsed(body)


def knows(request: JsonDict, response: Any) -> bool:
    answered = isinstance(response, dict) and not _ANSWERS.isdisjoint(response)
    if not _ASKS.isdisjoint(request) or _converses(request):
        return True
    return answered and not {"messages", "prompt", "inputText"}.isdisjoint(request) and "choices" not in response


def _converses(request: JsonDict) -> bool:
    """Whether the messages' parts are Converse's: objects named by their only key, without a type."""
    messages = request.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    content = first.get("content") if isinstance(first, dict) else None
    return isinstance(content, list) and any(isinstance(p, dict) and "type" not in p for p in content)


LOG = Format("bedrock", "Amazon Bedrock invocation log", recognise_log, read_log)
CALLS = vendor_format("bedrock_calls", "Amazon Bedrock requests and responses", knows)

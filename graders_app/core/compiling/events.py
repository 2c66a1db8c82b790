"""What Bedrock sends to a reward function and what it wants back.

An event is a list of samples. Documented: ``messages`` with the answer last and the record's fields in ``metadata``.
In AWS's own samples: ``reference_answer`` and other fields beside ``messages``, a plain string wrapped as
``{"text": …}``, answers of the role ``nova_assistant``, contents as lists of ``{"type": "text", "text": …}``. All of
them are read here, also one sample alone instead of a list.
"""

from __future__ import annotations

import json
import math
from typing import Any

from graders_app.core.samples import make_sample

from .plain_file import text_of

_ANSWERS = ("assistant", "nova_assistant")
_OURS = ("id", "messages", "metadata")


def samples_of(event: Any) -> list[Any]:
    """The samples of an event. Raises ValueError for something that is no event at all."""
    if isinstance(event, dict):
        return [event]
    if not isinstance(event, list):
        raise ValueError(f"an event is a list of samples, not {type(event).__name__}")
    return event


def read_sample(entry: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """``sample`` and ``item`` as graders get them. Raises ValueError naming what is missing."""
    if not isinstance(entry, dict) or not isinstance(entry.get("messages"), list):
        raise ValueError("a sample needs messages")
    messages = [_message(message) for message in entry["messages"] if isinstance(message, dict)]
    last = next((at for at in reversed(range(len(messages))) if messages[at]["role"] == "assistant"), None)
    if last is None:
        raise ValueError("a sample needs an answer: a message with the role assistant")
    answer = messages[last]
    fields = {**_metadata(entry.get("metadata")), **{name: entry[name] for name in entry if name not in _OURS}}
    item = {name: _unwrapped(value) if name == "reference_answer" else value for name, value in fields.items()}
    prompt = messages[:last]
    asked = [message["content"] for message in prompt if message["role"] == "user"]
    item["messages"] = prompt
    item.setdefault("user_message", asked[-1] if asked else "")
    return make_sample(answer["content"], answer.get("tool_calls") or []), item


def answer_of(identity: Any, result: dict[str, Any]) -> dict[str, Any]:
    """Bedrock's reply for one sample. No reward is 0.0 with ``grader_error`` 1, so that a failure can be counted."""
    reward = result["reward"]
    broken = reward is None or any(error["kind"] != "sample_parse_error" for error in result["errors"])
    metrics = {**result["sub_rewards"], "grader_error": float(broken)}
    return {
        "id": identity,
        "aggregate_reward_score": _clamped(reward),
        "metrics_list": [{"name": name, "value": value, "type": "Metric"} for name, value in metrics.items()],
    }


def log_line(entry: Any, identity: Any, result: dict[str, Any]) -> str:
    """One line of JSON for the function's log: scores and kinds of errors, nothing of what was said."""
    fields = entry if isinstance(entry, dict) else {}
    trace = fields.get("trace_id") or _metadata(fields.get("metadata")).get("trace_id")
    errors = [{name: error[name] for name in ("kind", "component", "line")} for error in result["errors"]]
    shown = {"id": identity, "trace_id": trace, "reward": result["reward"], "sub_rewards": result["sub_rewards"]}
    return json.dumps({**shown, "errors": errors})


def _message(message: dict[str, Any]) -> dict[str, Any]:
    role = "assistant" if message.get("role") in _ANSWERS else message.get("role")
    return {**message, "role": role, "content": text_of(message.get("content"))}


def _metadata(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def _unwrapped(value: Any) -> Any:
    return value["text"] if isinstance(value, dict) and value.keys() == {"text"} else value


def _clamped(reward: float | None) -> float:
    if reward is None or not math.isfinite(reward):
        return 0.0
    return min(1.0, max(0.0, float(reward)))

"""``/v1/chat/completions``, ``/v1/embeddings`` and ``/v1/models``."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from rft_project.engine.base import Prompt
from rft_project.engine.http import json_body
from rft_project.engine.inference import Answered, Busy
from rft_project.engine.models import (
    MOST_ANSWER_TOKENS,
    ModelUnavailable,
    NoSuchModel,
    available,
    embedding_fields,
)
from rft_project.engine.validation import check_messages
from rft_project.engine.wire import ApiError
from rft_project.platforms.embeddings import EmbeddingModel, embedding_model, installed
from rft_project.platforms.types import JsonDict

MOST_CHOICES = 128
DEFAULT_ANSWER_TOKENS = 128
MOST_INPUTS = 2048
MOST_INPUT_CHARACTERS = 200_000


# Models


def list_models(request: Request) -> Response:
    return JSONResponse({"object": "list", "data": _models(request)})


def get_model(request: Request) -> Response:
    """A checkpoint is found by its id too, though only finished models are listed."""
    wanted = request.path_params["id"]
    for model in _models(request):
        if model["id"] == wanted:
            return JSONResponse(model)
    found = request.app.state.store.find_model(wanted)
    if found is None:
        raise ApiError(404, f"There is no model “{wanted[:200]}” here.", code="model_not_found", param="model")
    return JSONResponse(_model(wanted, found[0].created_at, {"base": found[0].model, "job": found[0].id}))


def _models(request: Request) -> list[JsonDict]:
    started: int = request.app.state.started_at
    models = [_model(base.id, started, base.fields) for base in available()]
    models += [_model(model.id, started, embedding_fields(model)) for model in installed()]
    for job, made_at in request.app.state.store.tuned_models():
        models.append(_model(str(job.fine_tuned_model), made_at, {"base": job.model, "job": job.id}))
    return models


def _model(model_id: str, created: int, fields: JsonDict) -> JsonDict:
    return {
        "id": model_id,
        "object": "model",
        "created": created,
        "owned_by": "local",
        "shutdown_date": None,
        "rft": {"trainable": False, "base": None, **fields},
    }


# Chat


@dataclass(frozen=True, slots=True)
class _Asked:
    model: str
    prompt: Prompt
    seed: int | None
    stream: bool
    stream_usage: bool


async def chat(request: Request) -> Response:
    asked = _asked(await json_body(request))
    try:
        answered = await asyncio.wrap_future(request.app.state.inference.submit(asked.model, asked.prompt, asked.seed))
    except Busy as error:
        raise ApiError(429, str(error), code="busy") from None
    except NoSuchModel as error:
        raise ApiError(404, str(error), code="model_not_found", param="model") from None
    except ModelUnavailable as error:
        raise ApiError(503, str(error), code="model_unavailable", param="model") from None
    except ValueError as error:
        raise ApiError(400, str(error), code="invalid_value", param="messages") from None
    if asked.stream:
        return StreamingResponse(_chunks(asked, answered), media_type="text/event-stream")
    return JSONResponse(_completion(asked, answered))


def _asked(body: JsonDict) -> _Asked:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise ApiError(400, "The request needs a model.", code="invalid_value", param="model")
    try:
        messages = check_messages(body.get("messages"), "the request")
    except ValueError as error:
        raise ApiError(400, str(error), code="invalid_value", param="messages") from None
    if body.get("tools"):
        raise ApiError(400, "The models of this engine can't call tools.", code="unsupported", param="tools")
    allowed = body.get("allowed_answers") or []
    if not isinstance(allowed, list) or not all(isinstance(answer, str) for answer in allowed):
        raise ApiError(400, "allowed_answers must be a list of texts.", code="invalid_value", param="allowed_answers")
    tokens = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    options = body.get("stream_options")
    return _Asked(
        model=model,
        prompt=Prompt(
            messages=messages,
            n=_number(body, "n", 1, 1, MOST_CHOICES, whole=True),
            temperature=float(_number(body, "temperature", 1.0, 0.0, 2.0)),
            max_tokens=_number(body, tokens, DEFAULT_ANSWER_TOKENS, 1, MOST_ANSWER_TOKENS, whole=True),
            allowed=tuple(allowed),
        ),
        seed=None if body.get("seed") is None else _number(body, "seed", 0, -(2**63), 2**63 - 1, whole=True),
        stream=body.get("stream") is True,
        stream_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _number(body: JsonDict, name: str, default: float, low: float, high: float, *, whole: bool = False) -> Any:
    value = body.get(name)
    if value is None:
        return default
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise ApiError(400, f"“{name}” must be {kind} from {low:g} to {high:g}.", code="invalid_value", param=name)
    return value


def _usage(answered: Answered) -> JsonDict:
    made = sum(completion.tokens for completion in answered.completions)
    length = answered.prompt_tokens
    return {"prompt_tokens": length, "completion_tokens": made, "total_tokens": length + made}


def _head(asked: _Asked, kind: str) -> JsonDict:
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "model": asked.model,
    }


def _completion(asked: _Asked, answered: Answered) -> JsonDict:
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": completion.text, "refusal": None},
            "finish_reason": completion.finish_reason,
            "logprobs": None,
        }
        for index, completion in enumerate(answered.completions)
    ]
    return {**_head(asked, "chat.completion"), "choices": choices, "usage": _usage(answered)}


async def _chunks(asked: _Asked, answered: Answered) -> AsyncIterator[str]:
    """Server-sent events. The whole answer comes in one piece: requests are answered together, not token by token."""
    head = _head(asked, "chat.completion.chunk")
    for index, completion in enumerate(answered.completions):
        delta = {"role": "assistant", "content": completion.text}
        for part, reason in ((delta, None), ({}, completion.finish_reason)):
            yield _event({**head, "choices": [{"index": index, "delta": part, "finish_reason": reason}]})
    if asked.stream_usage:
        yield _event({**head, "choices": [], "usage": _usage(answered)})
    yield "data: [DONE]\n\n"


def _event(chunk: JsonDict) -> str:
    return f"data: {json.dumps(chunk)}\n\n"


# Embeddings


async def embeddings(request: Request) -> Response:
    body = await json_body(request)
    model, texts = _embedding_model(body), _inputs(body)
    vectors = await run_in_threadpool(model.embed, texts)
    encoded = body.get("encoding_format") == "base64"
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector.tobytes()).decode() if encoded else vector.tolist(),
        }
        for index, vector in enumerate(vectors)
    ]
    words = sum(len(text.split()) for text in texts)
    usage = {"prompt_tokens": words, "total_tokens": words}
    return JSONResponse({"object": "list", "model": model.id, "data": data, "usage": usage})


def _embedding_model(body: JsonDict) -> EmbeddingModel:
    try:
        model = embedding_model(str(body.get("model")))
    except LookupError as error:
        raise ApiError(404, str(error), code="model_not_found", param="model") from None
    if body.get("dimensions") not in (None, model.dimensions):
        message = f"Its vectors have {model.dimensions} dimensions."
        raise ApiError(400, message, code="invalid_value", param="dimensions")
    return model


def _inputs(body: JsonDict) -> list[str]:
    texts = [body["input"]] if isinstance(body.get("input"), str) else body.get("input")
    if not isinstance(texts, list) or not 1 <= len(texts) <= MOST_INPUTS:
        raise ApiError(400, f"Give a text, or a list of 1 to {MOST_INPUTS} texts.", code="invalid_value", param="input")
    if not all(isinstance(text, str) and len(text) <= MOST_INPUT_CHARACTERS for text in texts):
        message = f"Each input must be a text of at most {MOST_INPUT_CHARACTERS} characters."
        raise ApiError(400, message, code="invalid_value", param="input")
    return texts

"""Requests and answers held against the service's own API model, further than botocore goes before it sends.

botocore checks required and unknown keys, types and minima. Maxima, patterns and choices are in the model too, and the
service refuses what breaks them; so does this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from .wire import Json, Refused, Request


@dataclass(frozen=True)
class Call:
    """An operation of a service and its parameters."""

    service: str
    operation: str
    status: int
    parameters: Json


@lru_cache(maxsize=8)
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


@lru_cache(maxsize=8)
def _routes(service: str) -> list[tuple[str, re.Pattern[str], Any]]:
    """Method, pattern of the path's pieces and operation; fixed pieces go before variable ones."""
    found = []
    for name in _model(service).operation_names:
        operation = _model(service).operation_model(name)
        path = operation.http["requestUri"].split("?")[0].strip("/")
        pattern = "\n".join(
            f"(?P<{piece[1:-1].rstrip('+')}>[^\n]+)" if piece.startswith("{") else re.escape(piece)
            for piece in path.split("/")
        )
        found.append((path.count("{"), operation.http["method"], re.compile(rf"{pattern}\Z"), operation))
    return [(method, pattern, operation) for _, method, pattern, operation in sorted(found, key=lambda r: r[0])]


def rest_call(service: str, request: Request) -> Call | None:
    """The operation a REST request is for; None where the service has none there. Raises Refused for what is wrong."""
    path = "\n".join(request.parts)
    for method, pattern, operation in _routes(service):
        match = pattern.match(path) if method == request.method else None
        if match is not None:
            parameters = _parameters(operation.input_shape, match.groupdict(), request)
            check(operation.input_shape, parameters)
            return Call(service, operation.name, int(operation.http.get("responseCode", 200)), parameters)
    return None


def target_call(service: str, request: Request) -> Call:
    """The operation a JSON request names in its header."""
    operation = _model(service).operation_model(request.headers["x-amz-target"].rpartition(".")[2])
    parameters = request.json()
    check(operation.input_shape, parameters)
    return Call(service, operation.name, 200, parameters)


def check(shape: Any, value: Any) -> None:
    """Raises Refused as the service would for what breaks the model."""
    report = ParamValidator().validate(value, shape)
    problems = [report.generate_report()] if report.has_errors() else list(_broken(shape, value, "input"))
    if problems:
        raise Refused(
            400, f"{len(problems)} validation error detected: {'; '.join(problems)}", code="ValidationException"
        )


def answer_problems(call: Call, body: Json) -> list[str]:
    """What an answer of ours has that the service's could not have."""
    shape = _model(call.service).operation_model(call.operation).output_shape
    if shape is None:
        return []
    report = ParamValidator().validate(body, shape)
    unknown = sorted(set(body) - set(shape.members))
    return [
        *([report.generate_report()] if report.has_errors() else []),
        *(f"unknown member {name}" for name in unknown),
        *_broken(shape, body, "output"),
    ]


def _parameters(shape: Any, pieces: dict[str, str], request: Request) -> Json:
    """By the model's names: pieces of the path, the query, and the body."""
    found: Json = {}
    payload = shape.serialization.get("payload")
    body = {} if payload and shape.members[payload].type_name == "blob" else request.json()
    for name, member in shape.members.items():
        where, wire = member.serialization.get("location"), member.serialization.get("name", name)
        if where == "uri" and wire in pieces:
            found[name] = pieces[wire]
        elif where == "querystring" and wire in request.query:
            text = request.query[wire]
            found[name] = int(text) if member.type_name == "integer" else text
        elif name == payload and member.type_name == "blob":
            found[name] = request.content
        elif where is None and wire in body:
            found[name] = body.pop(wire)
    if body:
        raise Refused(400, f"Unknown member {sorted(body)[0]}.", code="ValidationException")
    return found


def _broken(shape: Any, value: Any, name: str) -> Any:
    """Sentences on what breaks a maximum, a pattern or a choice, anywhere in ``value``."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        for key, inner in value.items():
            if key in shape.members:
                yield from _broken(shape.members[key], inner, f"{name}.{key}")
    elif kind == "list":
        yield from _too_many(shape, len(value), name)
        for number, inner in enumerate(value):
            yield from _broken(shape.member, inner, f"{name}[{number}]")
    elif kind == "map":
        yield from _too_many(shape, len(value), name)
        for key, inner in value.items():
            yield from _broken(shape.key, key, f"{name} key")
            yield from _broken(shape.value, inner, f"{name}.{key}")
    elif kind == "string":
        yield from _too_many(shape, len(value), name)
        pattern = shape.metadata.get("pattern")
        if pattern and not re.fullmatch(pattern.removeprefix("^").removesuffix("$"), value):
            yield f"{name} {value!r} does not match {pattern}"
        if shape.enum and value not in shape.enum:
            yield f"{name} {value!r} is not one of {', '.join(shape.enum)}"
    elif kind in ("integer", "long", "float", "double"):
        most = shape.metadata.get("max")
        if most is not None and value > most:
            yield f"{name} {value} is more than {most}"


def _too_many(shape: Any, count: int, name: str) -> Any:
    most = shape.metadata.get("max")
    if most is not None and count > most:
        yield f"{name} has {count}, at most {most} are allowed"

"""How requests to AWS say what they are for, and how its XML services refuse."""

from __future__ import annotations

import hashlib

from .wire import Answer, Request


def scope(request: Request) -> list[str]:
    """Key, day, region and service that a request was signed with."""
    _, _, rest = request.headers.get("authorization", "").partition("Credential=")
    scope = rest.partition(",")[0].split("/")
    return scope if len(scope) > 3 else [""]


def xml(service: str, status: int, code: str, message: str) -> Answer:
    error = f"<Code>{code}</Code><Message>{message}</Message>"
    body = f"<Error>{error}</Error>" if service == "s3" else f"<ErrorResponse><Error>{error}</Error></ErrorResponse>"
    return Answer(status, body.encode(), {"content-type": "text/xml"})


def session_of(role: str) -> str:
    """The access key with which a service acts under ``role``."""
    return f"ASIA{hashlib.sha256(role.encode()).hexdigest()[:16].upper()}"

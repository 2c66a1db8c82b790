"""How requests to AWS say what they are for, and how its XML services refuse."""

from __future__ import annotations

from urllib.parse import parse_qs

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


def action(service: str, request: Request) -> str:
    """The IAM action of a request to one of the other services, as far as this emulator needs to tell them apart."""
    if service in ("iam", "sts"):
        return f"{service}:{parse_qs(request.content.decode()).get('Action', [''])[0]}"
    if service == "lambda":
        tail = request.parts[-1]
        names = {("POST", "functions"): "CreateFunction", ("POST", "invocations"): "Invoke",
                 ("PUT", "code"): "UpdateFunctionCode", ("GET", "versions"): "ListVersionsByFunction",
                 ("GET", "configuration"): "GetFunctionConfiguration"}  # fmt: skip
        return f"lambda:{names.get((request.method, tail), 'DeleteFunction')}"
    whole = len(request.parts) == 1
    names = {
        "PUT": "PutObject",
        "GET": "ListBucket" if whole else "GetObject",
        "HEAD": "ListBucket",
        "DELETE": "DeleteObject",
    }
    return f"s3:{names.get(request.method, '')}"

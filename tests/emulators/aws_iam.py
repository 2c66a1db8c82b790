"""What IAM would say: the permissions a request to AWS needs, and whether a policy gives them.

Sources: AWS's service authorization reference of bedrock, lambda, s3, logs and iam; the Lambda guide on tags. Tags and
roles that are handed on need permissions beside the operation's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs

from .aws_shapes import Call
from .wire import Json, Request

_JOBS = ("GetModelCustomizationJob", "StopModelCustomizationJob")
_MODELS = ("Converse", "InvokeModel")
_MADE = {
    "CreateModelCustomizationJob": "model-customization-job",
    "CreateCustomModelDeployment": "custom-model-deployment",
}
_LAMBDA = {
    ("POST", "functions"): "CreateFunction",
    ("POST", "invocations"): "InvokeFunction",
    ("PUT", "code"): "UpdateFunctionCode",
    ("GET", "versions"): "ListVersionsByFunction",
    ("GET", "configuration"): "GetFunctionConfiguration",
}


@dataclass(frozen=True)
class Need:
    """``passed_to``: the service that a role is handed to."""

    action: str
    resource: str = "*"
    passed_to: str = ""


@dataclass(frozen=True)
class Place:
    region: str
    account: str

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


def allows(policy: Json, need: Need) -> bool:
    return any(_covers(statement, need) for statement in policy["Statement"])


def needs_of_call(call: Call, place: Place) -> list[Need]:
    """Of an operation of bedrock, bedrock-runtime or logs."""
    given, name = call.parameters, call.operation
    if call.service == "logs":
        return [Need(f"logs:{name}", place.arn("logs", f"log-group:{given['logGroupName']}"))]
    if name in _MODELS:
        return [Need("bedrock:InvokeModel", resource) for resource in _model(given["modelId"], place)]
    return [Need(f"bedrock:{name}", resource) for resource in _resources(name, given, place)] + _beside(
        name, given, place
    )


def needs_of_request(service: str, request: Request, place: Place) -> list[Need]:
    """Of a request to s3, lambda, iam or sts."""
    if service == "lambda":
        return _needs_of_lambda(request, place)
    if service in ("iam", "sts"):
        asked = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        if asked["Action"] == "GetCallerIdentity":  # everybody may
            return []
        role = asked.get("RoleArn") or f"arn:aws:iam::{place.account}:role/{asked.get('RoleName')}"
        return [Need(f"{service}:{asked['Action']}", role)]
    bucket, whole = f"arn:aws:s3:::{request.parts[0]}", len(request.parts) == 1
    if whole and request.method in ("GET", "HEAD"):
        return [Need("s3:ListBucket", bucket)]
    names = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "GetObject", "DELETE": "DeleteObject"}
    return [Need(f"s3:{names.get(request.method, request.method)}", f"{bucket}/{'/'.join(request.parts[1:])}")]


def _covers(statement: Json, need: Need) -> bool:
    resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
    condition = statement.get("Condition", {}).get("StringEquals", {})
    return (
        statement["Effect"] == "Allow"
        and need.action in statement["Action"]
        and any(fnmatchcase(need.resource, pattern) for pattern in resources)
        and condition.get("iam:PassedToService", need.passed_to) == need.passed_to
    )


def _resources(name: str, given: Json, place: Place) -> list[str]:
    if name == "CreateModelCustomizationJob":
        base = given["baseModelIdentifier"].rpartition("/")[2]
        made = [place.arn("bedrock", "model-customization-job/*"), place.arn("bedrock", "custom-model/*")]
        return [f"arn:aws:bedrock:{place.region}::foundation-model/{base}", *made]
    if name in _JOBS:
        return [_whole(given["jobIdentifier"], "model-customization-job", place)]
    if name.endswith("CustomModelDeployment"):
        model = [given["modelArn"]] if "modelArn" in given else []
        named = given.get("customModelDeploymentIdentifier", "*")
        return [*model, _whole(named, "custom-model-deployment", place)]
    return ["*"]


def _beside(name: str, given: Json, place: Place) -> list[Need]:
    tags = given.get("jobTags") or given.get("tags")
    made = place.arn("bedrock", f"{_MADE.get(name)}/*")
    passed = [Need("iam:PassRole", given["roleArn"], "bedrock.amazonaws.com")] if "roleArn" in given else []
    return [*([Need("bedrock:TagResource", made)] if tags else []), *passed]


def _model(name: str, place: Place) -> list[str]:
    """An inference profile also needs the model in each of its regions."""
    if name.startswith("arn:"):
        return [name]
    start, _, model = name.partition(".")
    if start in ("us", "eu", "apac", "global"):
        return [
            place.arn("bedrock", f"inference-profile/{name}"),
            f"arn:aws:bedrock:us-east-2::foundation-model/{model}",
        ]
    return [f"arn:aws:bedrock:{place.region}::foundation-model/{name}"]


def _whole(identifier: str, kind: str, place: Place) -> str:
    return identifier if identifier.startswith("arn:") else place.arn("bedrock", f"{kind}/{identifier}")


def _needs_of_lambda(request: Request, place: Place) -> list[Need]:
    name = _LAMBDA.get((request.method, request.parts[-1]), f"{request.method.title()}Function")
    given: dict[str, Any] = request.json() if name == "CreateFunction" else {}
    function = given.get("FunctionName") or request.parts[2]
    arn = function if function.startswith("arn:") else place.arn("lambda", f"function:{function}")
    needs = [Need(f"lambda:{name}", arn)]
    if given.get("Tags"):
        needs.append(Need("lambda:TagResource", arn))
    if "Role" in given:
        needs.append(Need("iam:PassRole", given["Role"], "lambda.amazonaws.com"))
    return needs

"""Azure's management API for deployments on loopback: what it takes, refuses and how long it takes.

Sources: Microsoft's REST reference of ``Microsoft.CognitiveServices/accounts/deployments`` and its page on deploying
fine-tuned models. How a blocked or failed deployment tells its reason is not documented: its shape here is a guess.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .wire import Answer, Json, Refused, Request, only

SUBSCRIPTION = "00000000-1111-2222-3333-444444444444"
GROUP = "rg-rft"
ACCOUNT = "rft-emulated"
VERSIONS = ("2025-09-01", "2024-10-01")
OBJECT = "99999999-8888-7777-6666-555555555555"

#: Deployments on one page of the list.
PAGE = 2

_PROVIDER = "Microsoft.CognitiveServices"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SKUS = ("standard", "globalstandard", "developertier", "datazonestandard", "provisionedmanaged")
_DAY = 86400.0


@dataclass
class Deployment:
    """``model``: its id on the data plane. ``succeeds_at`` and ``answers_at`` are on the emulator's clock."""

    name: str
    body: Json
    model: str
    made_at: float
    succeeds_at: float
    answers_at: float
    blocked: str = ""
    clock: Callable[[], float] = field(default=time.time, repr=False)

    @property
    def state(self) -> str:
        if self.clock() < self.succeeds_at:
            return "Creating"
        return "Failed" if self.blocked else "Succeeded"

    @property
    def expired(self) -> bool:
        return self.body["sku"]["name"].lower() == "developertier" and self.clock() >= self.made_at + _DAY


class ManagementApi:
    """The deployments of one account.

    ``creating_seconds`` and ``answering_seconds``: until a deployment is Succeeded, and from then until it answers.
    ``lacking``: actions the caller has no permission for. ``quota``: capacity of all deployments together.
    ``blocks``: the sentence with which a new deployment of a tuned model fails, '' for none.
    """

    def __init__(self, serves: Callable[[str], bool], tuned: Callable[[str], bool]) -> None:
        self._serves = serves
        self._tuned = tuned
        self.deployments: dict[str, Deployment] = {}
        self.creating_seconds = 0.0
        self.answering_seconds = 0.0
        self.lacking: set[str] = set()
        self.quota = 1000
        self.blocks = ""
        #: Where the next page of a list is said to be, '' for here.
        self.next_origin = ""
        #: Seconds by which the emulator's clock is ahead.
        self.ahead = 0.0
        #: Names that were made, each time one was.
        self.made: list[str] = []

    def clock(self) -> float:
        return time.time() + self.ahead

    def route(self, request: Request) -> Any:
        match request.parts:
            case ["subscriptions", subscription, "resourceGroups", group, "providers", provider, "accounts", *rest]:
                self._check_place(subscription, group, provider, rest[0] if rest else "")
                self._check_version(request)
                return self._about(request, rest[1:])
        raise Refused(404, "No HTTP resource was found that matches the request URI.", code="InvalidResourceType")

    def add(self, name: str, model: str, *, sku: str = "GlobalStandard", capacity: int = 50) -> None:
        """A deployment that was there before."""
        called, _, version = re.fullmatch(r"(.+?)(-(\d{4}-\d{2}-\d{2}))?", model).groups()
        about = {"format": "OpenAI", "name": called, "version": version or "1"}
        body = {"sku": {"name": sku, "capacity": capacity}, "properties": {"model": about}}
        now = self.clock()
        self.deployments[name] = Deployment(name, body, model, now, now, now, clock=self.clock)

    def _check_place(self, subscription: str, group: str, provider: str, account: str) -> None:
        if subscription != SUBSCRIPTION:
            raise Refused(404, f"The subscription '{subscription}' could not be found.", code="SubscriptionNotFound")
        if group.lower() != GROUP:
            raise Refused(404, f"Resource group '{group}' could not be found.", code="ResourceGroupNotFound")
        if provider.lower() != _PROVIDER.lower() or account != ACCOUNT:
            said = f"The Resource '{provider}/accounts/{account}' under resource group '{group}' was not found."
            raise Refused(404, said, code="ResourceNotFound")

    def _check_version(self, request: Request) -> None:
        version = request.query.get("api-version")
        if version is None:
            said = "The api-version query parameter (?api-version=) is required for all requests."
            raise Refused(400, said, code="MissingApiVersionParameter")
        if version not in VERSIONS:
            said = f"The api-version '{version}' is invalid. Supported versions: {', '.join(VERSIONS)}."
            raise Refused(400, said, code="InvalidApiVersionParameter")

    def _about(self, request: Request, rest: list[str]) -> Any:
        for name in [name for name, deployment in self.deployments.items() if deployment.expired]:
            del self.deployments[name]
        match request.method, rest:
            case "GET", ["deployments"]:
                self._check_permission("read")
                return self._page(request)
            case "GET", ["deployments", name]:
                self._check_permission("read")
                return self._described(self._found(name))
            case "PUT", ["deployments", name]:
                self._check_permission("write")
                return self._put(name, request.json())
            case "DELETE", ["deployments", name]:
                self._check_permission("delete")
                self._check_idle()
                if self.deployments.pop(name, None) is None:
                    return Answer(204, b"")
                return Answer(200, b"")
        raise Refused(405, f"The requested resource does not support {request.method}.", code="MethodNotAllowed")

    def _page(self, request: Request) -> Json:
        start = int(request.query.get("$skipToken", 0))
        described = [self._described(deployment) for deployment in self.deployments.values()]
        page: Json = {"value": described[start : start + PAGE]}
        if len(described) > start + PAGE:
            query = f"api-version={request.query['api-version']}&$skipToken={start + PAGE}"
            origin = self.next_origin or f"http://{request.headers['host']}"
            page["nextLink"] = f"{origin}{request.path}?{query}"
        return page

    def _put(self, name: str, body: Json) -> Answer:
        self._check_idle()
        if not _NAME.fullmatch(name):
            raise Refused(400, f"The deployment name '{name}' is invalid.", code="InvalidResourceName")
        model = self._checked(name, body)
        before = self.deployments.get(name)
        now = self.clock()
        made = now + self.creating_seconds
        blocked = self.blocks if self._tuned(model) else ""
        answers = made + self.answering_seconds
        self.deployments[name] = Deployment(name, body, model, now, made, answers, blocked, self.clock)
        self.made.append(name)
        return Answer(200 if before else 201, self._described(self.deployments[name]))

    def _checked(self, name: str, body: Json) -> str:
        """The id of the model to deploy."""
        only(body, {"sku", "properties", "tags"})
        sku, properties = body.get("sku") or {}, body.get("properties") or {}
        only(sku, {"name", "capacity"}, "sku.")
        only(properties, {"model", "raiPolicyName", "versionUpgradeOption"}, "properties.")
        model = properties.get("model") or {}
        only(model, {"format", "name", "version", "source", "sourceAccount"}, "properties.model.")
        kind, capacity = str(sku.get("name")).lower(), sku.get("capacity")
        if kind not in _SKUS:
            raise Refused(400, f"The sku '{sku.get('name')}' is not supported.", code="InvalidResourceProperties")
        if not isinstance(capacity, int) or isinstance(capacity, bool) or capacity < 1:
            raise Refused(400, "The sku capacity must be a whole number of 1 or more.", code="InvalidCapacity")
        used = sum(d.body["sku"]["capacity"] for d in self.deployments.values() if d.name != name)
        if used + capacity > self.quota:
            said = (
                f"This operation requires {capacity} new capacity in quota, which is bigger than the current "
                f"available capacity {self.quota - used}."
            )
            raise Refused(400, said, code="InsufficientQuota")
        return self._checked_model(kind, model)

    def _checked_model(self, kind: str, model: Json) -> str:
        called, version = str(model.get("name")), str(model.get("version"))
        found = called if self._tuned(called) else f"{called}-{version}"
        if model.get("format") != "OpenAI" or not self._serves(found) or (found == called and version != "1"):
            said = f"The model 'Format: {model.get('format')}, Name: {called}, Version: {version}' is not available."
            raise Refused(400, said, code="DeploymentModelNotSupported")
        if kind == "developertier" and not self._tuned(found):
            raise Refused(400, "Only fine-tuned models can be deployed as DeveloperTier.", code="InvalidSku")
        if found.startswith("gpt-5") and self._tuned(found) and kind != "standard":
            raise Refused(400, f"The sku '{kind}' is not supported for the model '{called}'.", code="InvalidSku")
        return found

    def _check_permission(self, action: str) -> None:
        whole = f"{_PROVIDER}/accounts/deployments/{action}"
        if whole in self.lacking:
            scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/{_PROVIDER}/accounts/{ACCOUNT}"
            said = (
                f"The client '{OBJECT}' with object id '{OBJECT}' does not have authorization to perform action "
                f"'{whole}' over scope '{scope}' or the scope is invalid."
            )
            raise Refused(403, said, code="AuthorizationFailed")

    def _check_idle(self) -> None:
        busy = [d.name for d in self.deployments.values() if d.state == "Creating"]
        if busy:
            said = f"Another operation is being performed on the parent resource: deployment '{busy[0]}' is created."
            raise Refused(409, said, code="RequestConflict")

    def _found(self, name: str) -> Deployment:
        if name not in self.deployments:
            said = f"The deployment '{name}' was not found."
            raise Refused(404, said, code="DeploymentNotFound")
        return self.deployments[name]

    def _described(self, deployment: Deployment) -> Json:
        properties = {**deployment.body["properties"], "provisioningState": deployment.state}
        if deployment.state == "Failed":
            properties["error"] = {"code": "ContentSafety", "message": deployment.blocked}
        return {
            "id": f"/accounts/{ACCOUNT}/deployments/{deployment.name}",
            "type": f"{_PROVIDER}/accounts/deployments",
            "name": deployment.name,
            "sku": deployment.body["sku"],
            "properties": properties,
        }

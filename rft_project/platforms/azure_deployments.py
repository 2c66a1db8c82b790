"""What an Azure account has deployed, by which name it is called, and how a tuned model is put there and taken away."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

from . import azure_checks
from .azure_arm import Account, Deployments
from .catalogue import entry
from .errors import PlatformError
from .journal import Journal
from .openai_protocol import digest_of
from .types import DeploymentStatus, DeployRequest, Handle, JsonDict, ModelInfo, State

#: Asks the deployment of this name one short question. Raises PlatformError where it takes none.
Ask = Callable[[str], None]

#: Seconds for which the account's list of deployments is taken as it was read.
FRESH = 60.0
#: What a tuned model is deployed with where the catalogue says nothing: billed by token, with room for an evaluation.
SKU, CAPACITY, FORMAT = "GlobalStandard", 100, "OpenAI"
#: Version of every tuned model.
_VERSION = "1"
#: Stands in the id of every tuned model, and at the beginning of a checkpoint's.
_TUNED, _CHECKPOINT = ".ft-", "ftchkpt-"
#: A base model's id on the data plane; the management API has its date as the version.
_DATED = re.compile(r"(.+)-(\d{4}-\d{2}-\d{2})")
_STATES = {
    "succeeded": State.SUCCEEDED,
    "failed": State.FAILED,
    "canceled": State.CANCELLED,
    "deleting": State.CANCELLED,
    "disabled": State.FAILED,
}
_ABSENT = ("DeploymentNotFound", "DeploymentNotReady")


class Deployed:
    """``manager`` is None where the connection names no account. ``entered``: base model -> deployment, by hand."""

    def __init__(self, manager: Deployments | None, account: Account | None, entered: dict[str, str]) -> None:
        self.manager = manager
        self._account = account
        self._entered = entered
        self._lock = threading.Lock()
        self._read_at = -FRESH
        self._read: dict[str, tuple[str, State]] = {}  # name -> (model, state)

    # Names

    def name_of(self, model: str) -> str:
        """The deployment to call for ``model``: entered by hand, called so, serving it, or ``model`` itself."""
        if model in self._entered:
            return self._entered[model]
        known = self._known()
        if model in known:
            return model
        serving = [n for n, (served, state) in known.items() if served == model and state is State.SUCCEEDED]
        return serving[0] if serving else model

    def behind(self, name: str) -> str:
        """The model the deployment ``name`` serves, as far as it is known."""
        for model, entered in self._entered.items():
            if entered == name:
                return model
        return self._known().get(name, (name, State.SUCCEEDED))[0]

    def models(self) -> list[ModelInfo]:
        """Deployments that can be asked."""
        names = {name: model for name, (model, state) in self._known().items() if state is State.SUCCEEDED}
        names |= {name: model for model, name in self._entered.items()}
        return [
            ModelInfo(id=name, label=name, platform="azure", method="sample", summary=f"A deployment of {model}.")
            for name, model in sorted(names.items())
        ]

    def _known(self) -> dict[str, tuple[str, State]]:
        """The account's deployments; none where they can't be read, which is told where it matters."""
        if self.manager is None:
            return {}
        with self._lock:
            if time.monotonic() - self._read_at >= FRESH:
                try:
                    self._read = {str(d["name"]): (_model_of(d), _state_of(d)) for d in self.manager.all()}
                except (PlatformError, KeyError):
                    self._read = {}
                self._read_at = time.monotonic()
            return self._read

    def explain(self, error: PlatformError, model: str) -> None:
        """Raises a better error where ``error`` says that ``model`` leads to no deployment."""
        if error.code not in _ABSENT and error.status != 404:
            return
        if error.code == "DeploymentNotReady":
            sentence = f"The deployment for {model} is not ready yet: try again in some minutes."
            raise PlatformError(sentence, retryable=True, code=error.code, status=error.status) from error
        name = model if len(model) <= azure_checks.LONGEST_DEPLOYMENT else "<name>"
        way_out = "deploy it once, or enter the name of its deployment in the connection."
        if _TUNED in model or model.startswith(_CHECKPOINT):
            way_out = "deploy the tuned model first; where it is, enter the name of its deployment in the connection."
        raise PlatformError(
            f"Azure answers through deployments only, and none is known for {model}: {way_out}",
            code=error.code,
            status=404,
            remedy=self._by_hand(name, model, SKU, CAPACITY, FORMAT),
        ) from error

    # Deploying

    def deploy(self, request: DeployRequest, journal: Journal, ask: Ask) -> Handle:
        name = azure_checks.deployment_name(request.name, request.key)
        sku, capacity, form = _choices(request)
        by_hand = self._by_hand(name, request.model, sku, capacity, form)
        manager = self.manager
        if manager is None:
            if not self._there(name, ask):
                raise PlatformError(
                    "This connection names no subscription, resource group and account, so it can't deploy: enter "
                    f"them, or deploy the model yourself under the name {name} and then deploy again.",
                    remedy=by_hand,
                )
            return Handle(id=name, kind="deployment")
        model = {"format": form, "name": request.model, "version": _VERSION}
        body: JsonDict = {"sku": {"name": sku, "capacity": capacity}, "properties": {"model": model}}

        def send() -> str:
            try:
                manager.put(name, body)
            except PlatformError as error:
                if error.status in (401, 403):
                    error.remedy += f"\n# Or let somebody who may do it deploy the model:\n{by_hand}"
                raise
            return name

        made = journal.once(
            "deploy",
            digest_of({"name": name, **body}),
            prepare=lambda: send,
            find=lambda: [name] if self._there(name, ask) else [],
            discard=manager.delete,
        )
        return Handle(id=made, kind="deployment")

    def status(self, name: str, ask: Ask) -> DeploymentStatus:
        found, managed = self._seen(name)
        if not managed:
            return self._answering(name, "deployed by hand", ask)
        if found is None:
            detail = "There is no such deployment any more. Azure deletes one of the developer tier after 24 hours."
            return DeploymentStatus(state=State.FAILED, word="missing", detail=detail, model=name)
        word = str(found.get("properties", {}).get("provisioningState") or "unknown")
        state = _state_of(found)
        if state is State.SUCCEEDED:
            return self._answering(name, word, ask)
        return DeploymentStatus(state=state, word=word, detail=_reason(found), model=name)

    def delete(self, name: str) -> None:
        """Idempotent."""
        if self.manager is None:
            raise PlatformError(
                f"This connection names no subscription, resource group and account: delete {name} yourself, it is "
                "billed until then.",
                remedy=f"az cognitiveservices account deployment delete {self._place()} --deployment-name {name}",
            )
        self.manager.delete(name)

    def _seen(self, name: str) -> tuple[JsonDict | None, bool]:
        """The deployment as the management API has it, and whether that could be asked at all."""
        if self.manager is None:
            return None, False
        try:
            return self.manager.get(name), True
        except PlatformError as error:
            if error.status not in (401, 403):
                raise
            return None, False

    def _there(self, name: str, ask: Ask) -> bool:
        """Whether an earlier attempt, or somebody by hand, made it. One that failed is made anew under its name."""
        found, managed = self._seen(name)
        if managed:
            return found is not None and _state_of(found) not in (State.FAILED, State.CANCELLED)
        return self._answering(name, "", ask).state is not State.FAILED

    def _answering(self, name: str, word: str, ask: Ask) -> DeploymentStatus:
        """What the data plane says of a deployment that should be there."""
        try:
            ask(name)
        except PlatformError as error:
            if error.code in _ABSENT or error.status == 404:
                return self._not_answering(name, word, error)
            if error.status not in (400, 429):  # it took the question, but not this one or not now
                raise
        return DeploymentStatus(state=State.SUCCEEDED, word=word or "answers", model=name)

    def _not_answering(self, name: str, word: str, error: PlatformError) -> DeploymentStatus:
        if error.code != "DeploymentNotReady" and word in ("", "deployed by hand"):
            return DeploymentStatus(state=State.FAILED, word="missing", detail=str(error), model=name)
        detail = "Azure has made the deployment; it does not answer yet, which can take some minutes."
        return DeploymentStatus(state=State.RUNNING, word=word or "not ready", detail=detail, model=name)

    # Help

    def sign_in_help(self, error: PlatformError, *, keyed: bool) -> str:
        if error.status == 401 and keyed:
            return f"# The keys of the resource:\naz cognitiveservices account keys list {self._place()}"
        scope = self._account.id if self._account else "<resource id of the account>"
        return (
            'az role assignment create --role "Foundry User" \\\n'
            "  --assignee <object id of the identity this server signs in with> \\\n"
            f"  --scope {scope}"
        )

    def _by_hand(self, name: str, model: str, sku: str, capacity: int, form: str) -> str:
        dated = _DATED.fullmatch(model)
        called, version = (dated[1], dated[2]) if dated else (model, _VERSION)
        return (
            f"az cognitiveservices account deployment create {self._place()} \\\n"
            f"  --deployment-name {name} --model-name {called} --model-version {version} \\\n"
            f"  --model-format {form} --sku-name {sku} --sku-capacity {capacity}"
        )

    def _place(self) -> str:
        if self._account is None:
            return "--resource-group <group> --name <account>"
        return f"--resource-group {self._account.resource_group} --name {self._account.name}"


def _choices(request: DeployRequest) -> tuple[str, int, str]:
    """Sku, capacity and model format: as asked, as the base model's catalogue entry has them, or as usual."""
    defaults: dict[str, Any] = {"sku": SKU, "capacity": CAPACITY, "format": FORMAT}
    base = request.base or request.model.partition(_TUNED)[0]
    for model in entry("azure").models:
        if model.id == base:
            defaults |= {k: b.default for k, b in model.deploy_options.items() if b.default not in (None, "")}
    chosen = {**defaults, **{name: value for name, value in request.options.items() if value not in (None, "")}}
    try:
        capacity = int(chosen["capacity"])
    except (TypeError, ValueError):
        capacity = 0
    if capacity < 1:
        raise PlatformError("The capacity of a deployment is a whole number, 1 or more.")
    return str(chosen["sku"]), capacity, str(chosen["format"])


def _model_of(deployment: JsonDict) -> str:
    """The model's id as the data plane writes it: a base model's version is part of it."""
    properties = deployment.get("properties")
    model = properties.get("model") if isinstance(properties, dict) else None
    model = model if isinstance(model, dict) else {}
    name, version = str(model.get("name") or ""), str(model.get("version") or "")
    return f"{name}-{version}" if len(version) > 1 and not name.endswith(version) else name


def _state_of(deployment: JsonDict) -> State:
    properties = deployment.get("properties")
    word = properties.get("provisioningState") if isinstance(properties, dict) else ""
    return _STATES.get(str(word).lower(), State.RUNNING)


def _reason(deployment: JsonDict) -> str:
    """Azure's own sentence where a deployment tells one."""
    error = deployment.get("properties", {}).get("error") or deployment.get("error")
    return str(error.get("message") or "") if isinstance(error, dict) else ""

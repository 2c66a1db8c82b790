"""Azure (Foundry, Azure OpenAI): OpenAI's protocol under ``/openai/v1/``, deployments over the management API."""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from . import azure_checks, azure_deployments
from .azure_arm import Account, Deployments
from .azure_sign_in import MANAGEMENT, PROJECT, RESOURCE, is_loopback, may_receive, token_for
from .catalogue import entry
from .errors import NotSupported, PlatformError
from .journal import UNKEPT, Journal
from .openai_jobs import JobsWithResults, PausableJobs
from .openai_protocol import CALL_TIMEOUT, KEY, Call, ProtocolCredentials, shared_http
from .openai_sampling import ChatModels, parameter
from .types import (
    Access,
    Capabilities,
    DeploymentStatus,
    DeployRequest,
    Handle,
    JsonDict,
    ModelInfo,
    Sample,
    SampleRequest,
    State,
    TrainingRequest,
    TrainingStatus,
)

#: Seconds for which an uploaded file is waited for, and after which a longer one is looked at again.
FILE_WAIT, FILE_RETRY = 20.0, 30.0
_FILE_AT_WORK = ("uploaded", "pending", "running")
_FILE_FAILED = ("error", "failed", "deleted")
_ENDINGS = ("/openai/v1", "/openai")
_LINE = re.compile(r"[,;\n]+")


class AzureCredentials(BaseModel):
    """``endpoint``: of the resource (https://<name>.openai.azure.com) or of a project
    (https://<name>.services.ai.azure.com/api/projects/<project>). ``api_key``: '' signs in with what this server is
    signed in with. ``subscription``, ``resource_group`` and ``account``: for deploying from here; all three or none.
    ``scope``: another audience for the sign-in. ``deployments``: base model -> name of its deployment, also as lines
    ``model = deployment``; where the three are given it is found by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str = Field(pattern=r"^https?://[^\s@?#]+$", max_length=300)
    api_key: SecretStr = SecretStr("")
    subscription: str = Field(default="", pattern=r"^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})?$")
    resource_group: str = Field(default="", pattern=r"^[\w().-]{0,90}$")
    account: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{1,63})?$")
    scope: str = Field(default="", pattern=r"^(https://[a-z0-9.-]+\.azure\.com/\.default)?$")
    deployments: dict[str, str] = {}

    @field_validator("deployments", mode="before")
    @classmethod
    def _lines(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [line.partition("=") for line in _LINE.split(value) if line.strip()]
        if not all(model.strip() and name.strip() for model, _, name in pairs):
            raise PydanticCustomError("pairs", "write one line for each model: model = deployment")
        return {model.strip(): name.strip() for model, _, name in pairs}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if re.search(r"/openai/(?!v1/?$)", self.endpoint):
            raise PydanticCustomError("endpoint", "endpoint ends before /openai")
        given = [bool(part) for part in (self.subscription, self.resource_group, self.account)]
        if any(given) and not all(given):
            raise PydanticCustomError("account", "subscription, resource_group and account belong together")
        if not self.api_key.get_secret_value() and not may_receive(self.endpoint):
            raise PydanticCustomError(
                "endpoint",
                "endpoint: without a key this server's own sign-in would be sent there, and it goes to Azure only "
                "(https://….openai.azure.com, https://….services.ai.azure.com)",
            )
        return self

    @property
    def server_sign_in(self) -> bool:
        """Whether calls are made with what this server is signed in with: all without a key, else those that deploy."""
        return bool(self.account) or not self.api_key.get_secret_value()

    @property
    def base_url(self) -> str:
        address = self.endpoint.rstrip("/")
        for ending in _ENDINGS:
            address = address.removesuffix(ending)
        return f"{address}/openai/v1"

    @property
    def audience(self) -> str:
        return self.scope or (PROJECT if "/api/projects/" in self.endpoint else RESOURCE)

    @property
    def managed(self) -> Account | None:
        """The account to deploy in. An emulator on this machine has its management API at the same address."""
        if not self.account:
            return None
        parts = urlsplit(self.endpoint)
        root = f"{parts.scheme}://{parts.netloc}" if is_loopback(self.endpoint) else "https://management.azure.com"
        return Account(root=root, subscription=self.subscription, resource_group=self.resource_group, name=self.account)


class AzurePlatform(ChatModels, PausableJobs, JobsWithResults):
    kind: ClassVar[str] = "azure"
    label: ClassVar[str] = "Azure"
    credentials: ClassVar[type[BaseModel]] = AzureCredentials

    def __init__(
        self,
        credentials: AzureCredentials,
        *,
        http_client: httpx2.Client | None = None,
        call_timeout: float = CALL_TIMEOUT,
        file_wait: float = FILE_WAIT,
    ) -> None:
        self._file_wait = file_wait
        http = http_client or shared_http(os.getpid())
        key = credentials.api_key
        wire = ProtocolCredentials(base_url=credentials.base_url, api_key=key)
        super().__init__(wire, http_client=http, call_timeout=call_timeout)
        self._sign_in = token_for(credentials.audience)
        self._keyed = bool(self._secret)
        if self._keyed:
            # The SDK sends it as a bearer token as well, which Azure takes; gateways in front of it want this one.
            self._client = self._client.with_options(default_headers={"api-key": self._secret})
        else:
            self._client = self._client.with_options(api_key=self._token)
        self._client.organization = None
        self._client.project = None
        account = credentials.managed
        sign_in = token_for(MANAGEMENT, needed_to="deploy")
        manager = Deployments(account, sign_in, http, call_timeout) if account else None
        self._deployed = azure_deployments.Deployed(manager, account, credentials.deployments)
        #: Deployments that refused a temperature: models that think before they answer.
        self._thinking: set[str] = set()

    def _bearer(self) -> str:
        return self._secret if self._keyed else self._token()

    def _token(self) -> str:
        self._secret = self._sign_in()  # so that no error repeats it
        return self._secret

    # What the account can do

    def check(self) -> None:
        """Also that deployments can be read, where this connection is to make them."""
        self.listed_models()
        if self._deployed.manager is not None:
            self._deployed.manager.all()

    def capabilities(self) -> Capabilities:
        """The catalogue's trainable models as the account stands, then the deployments that can be asked."""
        listed = {str(model.get("id")): model for model in self.listed_models()}
        described = entry("azure")
        models = [_as_listed(model, listed) for model in described.models]
        known = {model.id for model in models}
        models += [model for model in self._deployed.models() if model.id not in known]
        train = any(m.method == "reinforcement" and m.access is not Access.RETIRED for m in models)
        return Capabilities(
            sample=True, embed=True, train=train, deploy=True, pause=True, models=models, notice=described.notice
        )

    def default_embedding_model(self) -> str:
        return entry("azure").embedding_model

    # Asking deployments

    def behind(self, name: str) -> str:
        return self._deployed.behind(name)

    def thinks(self, name: str) -> bool:
        return name in self._thinking or super().thinks(name)

    def sample(self, request: SampleRequest) -> Sample:
        """``request.model``: a deployment, or a base model one of them serves."""
        asked = request.model_copy(update={"model": self._deployed.name_of(request.model)})
        try:
            return super().sample(asked)
        except PlatformError as error:
            if error.status != 400 or parameter(error) not in ("temperature", "seed") or asked.model in self._thinking:
                self._deployed.explain(error, request.model)
                raise
        self._thinking.add(asked.model)
        return super().sample(asked)

    def embed(self, texts: list[str], model: str = "") -> list[list[float]]:
        wanted = model or self.default_embedding_model()
        try:
            return super().embed(texts, self._deployed.name_of(wanted))
        except PlatformError as error:
            self._deployed.explain(error, wanted)
            raise

    # Training

    def reinforcement(self, request: TrainingRequest) -> JsonDict:
        grader = azure_checks.written_for_azure(request.grader, str(request.options.get("grader_deployment") or ""))
        return super().reinforcement(request.model_copy(update={"grader": grader}))

    def job_arguments(self, request: TrainingRequest) -> JsonDict:
        """The suffix carries the key too: whether Azure keeps metadata is not known. ``trainingType`` is a field of
        Azure's own in the body's root."""
        arguments: JsonDict = {"suffix": azure_checks.suffix(request.suffix, request.key)}
        if request.options.get("trainingType"):
            arguments["extra_body"] = {"trainingType": request.options["trainingType"]}
        return arguments

    def _job(self, request: TrainingRequest, journal: Journal) -> JsonDict:
        azure_checks.check(request)
        arguments = super()._job(request, journal)
        for part in ("training", "validation"):
            self._await_file(part, arguments[f"{part}_file"])
        return arguments

    def _await_file(self, part: str, file: str) -> None:
        """Azure reads a file before a job can take it; a file that takes longer is waited for in another attempt."""
        retrieve = self._client.files.with_raw_response.retrieve
        deadline = time.monotonic() + self._file_wait
        while True:
            about = self._json("reading the uploaded file", lambda: retrieve(file))
            word = str(about.get("status") or "")
            if word in _FILE_FAILED:
                reason = str(about.get("status_details") or "it gives no reason")
                raise PlatformError(f"Azure can't use the file of {part} rows: {reason.rstrip('.')}.", code=word)
            if word not in _FILE_AT_WORK:
                return
            if time.monotonic() >= deadline:
                sentence = f"Azure is still reading the file of {part} rows; the job is started once it has."
                raise PlatformError(sentence, retryable=True, retry_after=FILE_RETRY)
            time.sleep(0.5)

    def _files_called(self, name: str, size: int) -> list[str]:
        """By name alone, which tells the content too: the size is not known while Azure reads a file."""
        files = self._pages("listing files", self._listed_files)
        return [str(f["id"]) for f in files if f.get("filename") == name and f.get("status") not in _FILE_FAILED][::-1]

    def _jobs_with(self, key: str) -> list[str]:
        """Jobs that carry ``key`` in their metadata, their suffix or the name of their training file, oldest first.
        The list is asked for without a filter: whether Azure knows it is not known."""
        listing = self._client.fine_tuning.jobs.with_raw_response.list
        jobs = list(self._pages("looking for the training job", listing))
        newest_first = [job for job in jobs if _carries(job, key)]
        if jobs and not newest_first:
            files = self._pages("listing files", self._listed_files)
            ours = {f.get("id") for f in files if str(f.get("filename")).startswith(azure_checks.tag(key))}
            newest_first = [job for job in jobs if job.get("training_file") in ours]
        return [str(job["id"]) for job in reversed(newest_first)]

    def training(self, handle: Handle) -> TrainingStatus:
        status = super().training(handle)
        if status.state is not State.PAUSED or status.detail:
            return status
        detail = "The job is paused and its last model can be deployed; its log says why. Resume it, or cancel it."
        return status.model_copy(update={"detail": detail})

    def pause_training(self, handle: Handle) -> None:
        """Azure pauses a job once its first step is done."""
        try:
            super().pause_training(handle)
        except PlatformError as error:
            if error.status in (400, 409) and str(self.training(handle).raw.get("model")).startswith("gpt-5"):
                raise NotSupported("Azure pauses no training of gpt-5; cancel it instead.") from error
            raise

    # Deploying

    def deploy(self, request: DeployRequest, journal: Journal = UNKEPT) -> Handle:
        """Over the management API. Without access to it a deployment that people made by the name this asks for is
        taken, and until then the error's ``remedy`` says how to make it."""
        return self._deployed.deploy(request, journal, self.asked_once)

    def deployment(self, handle: Handle) -> DeploymentStatus:
        """SUCCEEDED once the deployment answers, which may be minutes after Azure calls it made: until then each look
        asks it one question of at most 16 tokens. Also for a deployment somebody made by hand."""
        return self._deployed.status(handle.id, self.asked_once)

    def undeploy(self, handle: Handle) -> None:
        self._deployed.delete(handle.id)

    def asked_once(self, name: str) -> None:
        """Raises PlatformError unless the deployment ``name`` takes a question."""
        create = self._client.chat.completions.with_raw_response.create
        question: Any = [{"role": "user", "content": "Say yes."}]
        call = partial(create, model=name, messages=question, max_completion_tokens=16)
        self._json("asking the deployment", call, tokens=100)

    def _json(
        self, doing: str, call: Call, *, spending: bool = False, tokens: int | None = None, urgent: bool = False
    ) -> JsonDict:
        try:
            return super()._json(doing, call, spending=spending, tokens=tokens, urgent=urgent)
        except PlatformError as error:
            if error.status not in (401, 403) or error.remedy:
                raise
            words = str(error) if self._keyed else str(error).replace("the key", "this server's sign-in", 1)
            remedy = self._deployed.sign_in_help(error, keyed=self._keyed)
            raise PlatformError(words, code=error.code, status=error.status, remedy=remedy) from error.__cause__


def _carries(job: JsonDict, key: str) -> bool:
    metadata = job.get("metadata")
    if isinstance(metadata, dict) and metadata.get(KEY) == key:
        return True
    names = (job.get("user_provided_suffix"), job.get("suffix"), job.get("fine_tuned_model"))
    return any(str(name or "").endswith(azure_checks.tag(key)) for name in names)


def _as_listed(model: ModelInfo, listed: dict[str, JsonDict]) -> ModelInfo:
    """A model the account's list calls not trainable can't be trained there; one it leaves out stays as it is.

    Days on which the list says that training or the model ends go before the catalogue's while they are to come: one
    that is past, of a model still called trainable, is the end for customers who never trained it.
    """
    about = listed.get(model.id, {})
    abilities, ends = about.get("capabilities"), about.get("deprecation")
    if isinstance(abilities, dict) and abilities.get("fine_tune") is False:
        return model.model_copy(update={"access": Access.RETIRED})
    ends = ends if isinstance(ends, dict) else {}
    switched_off = about.get("shutdown_date") or ends.get("inference")
    days = {"retires": _day(switched_off), "trains_until": _day(ends.get("fine_tune"), before=1)}
    if days["trains_until"] is None and model.retires == _day(model.trains_until, before=-1):
        days["trains_until"] = _day(switched_off, before=1)  # it is trained for as long as it is there
    return model.model_copy(update={name: day for name, day in days.items() if day is not None})


def _day(moment: Any, *, before: int = 0) -> str | None:
    """The ISO date of an epoch or of a date as text, ``before`` days earlier; None where it is neither, or is past."""
    try:
        day = date.fromisoformat(moment) if isinstance(moment, str) else datetime.fromtimestamp(moment, UTC).date()
    except (TypeError, ValueError, OSError, OverflowError):
        return None
    found = day - timedelta(days=before)
    return found.isoformat() if found >= datetime.now(UTC).date() else None

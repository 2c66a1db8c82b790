"""A loopback server that is one Azure resource: ``/openai/v1/``, the management API, and where tokens come from.

Stricter than the service, as the others. Sources: Microsoft's pages on reinforcement fine-tuning, on its preparation
and on managing jobs (azure-ai-docs, 2026-09 and 2026-10). Where they are silent it refuses: a metadata filter of the
job list, spaces and indexes in templates.
"""

from __future__ import annotations

import re
import time
import uuid
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, ClassVar

from .azure_arm import ACCOUNT, GROUP, SUBSCRIPTION, ManagementApi
from .faults import Fault
from .finetuning import TRAINABLE, FineTuningEmulator
from .policy import Policy
from .sampling import completion, embedded
from .training import Lesson
from .wire import Json, Refused, Request, found, started

__all__ = ["CHAT", "EMBEDDING", "GPT5", "TRAINABLE", "AzureEmulator", "Fault", "running"]

GPT5 = "gpt-5-2025-08-07"
CHAT = "gpt-4.1-mini-2025-04-14"
EMBEDDING = "text-embedding-3-small"
BASE_DEPLOYMENT = "our-o4-mini"
#: Models graders may name without a deployment.
JUDGES = ("gpt-4o-2024-08-06", "gpt-4.1-2025-04-14", "gpt-4.1-mini-2025-04-14", "gpt-4.1-nano-2025-04-14")
LIMIT = (
    "The job was paused automatically because training and grading reached the limit of $5,000; "
    "resume it to go on without a limit"
)
_DATA, _PROJECT, _MANAGEMENT = (
    "https://cognitiveservices.azure.com",
    "https://ai.azure.com",
    "https://management.azure.com",
)
_TRAINING_TYPES = ("standard", "globalStandard", "developerTier")
_SUFFIX = re.compile(r"[A-Za-z0-9_-]{1,40}")
_ABSENT = (
    "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, "
    "please wait a moment and try again."
)


class AzureEmulator(FineTuningEmulator):
    """``credentials`` sign in with the key; with ``api_key`` '' and ``environment`` set, with a managed identity.

    ``keeps_metadata``: whether jobs remember theirs. ``pauses_at``: the step after which a job reaches the service's
    limit of cost and is paused. ``file_seconds``: for which an uploaded file is read; ``rejects``: why it is not taken
    then, '' where it is. ``arm``: the management API and its own settings.
    """

    trainable: ClassVar[tuple[str, ...]] = (TRAINABLE, GPT5)
    job_fields: ClassVar[frozenset[str]] = FineTuningEmulator.job_fields | {"trainingType"}
    least_rows: ClassVar[int] = 10
    digits: ClassVar[int] = 32

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.keeps_metadata = True
        self.pauses_at: int | None = None
        self.file_seconds = 0.0
        self.rejects = ""
        self.identity = uuid.uuid4().hex
        #: Tokens that were handed out, each with its audience.
        self.tokens: dict[str, str] = {}
        self.arm = ManagementApi(serves=lambda model: model in self.models, tuned=_is_tuned)
        for name in (TRAINABLE, GPT5, CHAT, EMBEDDING):
            abilities = {"fine_tune": name in self.trainable, "inference": True, "chat_completion": name != EMBEDDING}
            about = {"id": name, "object": "model", "created": 1, "owned_by": "system", "capabilities": abilities}
            self.models[name] = (about, None)
        for deployment, model in ((BASE_DEPLOYMENT, TRAINABLE), ("chat", CHAT), ("vectors", EMBEDDING)):
            self.arm.add(deployment, model)

    @property
    def credentials(self) -> Json:
        place = {"subscription": SUBSCRIPTION, "resource_group": GROUP, "account": ACCOUNT}
        return {"endpoint": self.origin, "api_key": self.key, **place}

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which ``DefaultAzureCredential`` gets its tokens here and asks nobody else."""
        return {
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
            "IDENTITY_ENDPOINT": f"{self.origin}/msi/token",
            "IDENTITY_HEADER": self.identity,
        }

    # Who asks

    def authorize(self, request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.parts[:2] == ["msi", "token"]:
            if request.headers.get("x-identity-header") != self.identity:
                raise Refused(401, "The identity header is missing or wrong.", code="invalid_request")
        elif request.parts[0] == "subscriptions":
            if self.tokens.get(given) != _MANAGEMENT:
                said = "Authentication failed. The access token is missing, invalid or of the wrong audience."
                raise Refused(401, said, code="AuthenticationFailed")
        else:
            audience = _PROJECT if request.parts[0] == "api" else _DATA
            if self.key not in (request.headers.get("api-key"), given) and self.tokens.get(given) != audience:
                said = f"Access denied due to invalid subscription key, token {given} or wrong API endpoint."
                raise Refused(401, said, code="401")

    def token(self, request: Request) -> Json:
        """As App Service's managed identity answers."""
        audience = request.query.get("resource", "").rstrip("/")
        if request.query.get("api-version") != "2019-08-01" or audience not in (_DATA, _PROJECT, _MANAGEMENT):
            raise Refused(400, f"No token is given for '{audience}'.", code="invalid_resource")
        token = f"token-{uuid.uuid4().hex}"
        self.tokens[token] = audience
        expires = int(time.time()) + 86400
        return {"access_token": token, "expires_on": str(expires), "resource": audience, "token_type": "Bearer"}

    # The wire

    def limited(self, request: Request) -> int | None:
        """Sampling and embedding, as OpenAI counts them."""
        if request.method != "POST" or request.parts[-1] not in ("completions", "embeddings"):
            return None
        body = request.json()
        return len(request.content) // 4 + (body.get("max_completion_tokens") or 0) * (body.get("n") or 1)

    def route(self, request: Request) -> Any:
        match request.method, request.parts:
            case "GET", ["msi", "token"]:
                return self.token(request)
            case _, ["subscriptions", *_]:
                return self.arm.route(request)
            case _, ["openai", "v1", *rest] | ["api", "projects", _, "openai", "v1", *rest]:
                if "api-version" in request.query:
                    raise Refused(400, "api-version query parameter is not allowed when using /v1 path.")
                return self.data(replace(request, parts=rest, path="/" + "/".join(rest)))
        raise Refused(404, "Resource not found", code="404")

    def data(self, request: Request) -> Any:
        self._read_files()
        match request.method, request.parts:
            case "GET", ["models"]:
                return {"object": "list", "data": [about for about, _ in self.models.values()]}
            case "GET", ["models", name]:
                return found(self.models, name, "model")[0]
            case "POST", ["chat", "completions"]:
                return self.chat(request.json())
            case "POST", ["embeddings"]:
                body = request.json()
                model, _ = self.answering(str(body.get("model")))
                if model != EMBEDDING:
                    raise Refused(400, "The embeddings operation does not work with the specified model.")
                return embedded({**body, "model": EMBEDDING}, EMBEDDING)
        return super().route(request)

    def answering(self, name: str) -> tuple[str, Policy | None]:
        """What the deployment ``name`` serves. Raises Refused."""
        deployment = self.arm.deployments.get(name)
        if deployment is None or deployment.expired or deployment.state != "Succeeded":
            raise Refused(404, _ABSENT, code="DeploymentNotFound")
        if self.arm.clock() < deployment.answers_at:
            raise Refused(404, f"The deployment {name} is not ready.", code="DeploymentNotReady")
        return deployment.model, self.models[deployment.model][1]

    def chat(self, body: Json) -> Json:
        model, policy = self.answering(str(body.get("model")))
        if model == EMBEDDING:
            raise Refused(400, "The chatCompletion operation does not work with the specified model.")
        reasoning = model.startswith(("o4", "gpt-5"))
        return completion(body, policy, reasoning=reasoning, thoughts=8 if reasoning else 0)

    # Training

    def tuned_name(self, job: Json, ending: str = "") -> str:
        if ending:  # a checkpoint's
            return f"ftchkpt-{uuid.uuid4().hex}"
        suffix = f"-{job['user_provided_suffix']}" if job["user_provided_suffix"] else ""
        return f"{job['model']}.ft-{job['id'].removeprefix('ftjob-')}{suffix}"

    def create_job(self, body: Json) -> Json:
        if body.get("trainingType", "standard") not in _TRAINING_TYPES:
            raise Refused(400, f"'trainingType' must be one of {', '.join(_TRAINING_TYPES)}.", param="trainingType")
        if body.get("model") == GPT5 and body.get("trainingType") == "developerTier":
            raise Refused(400, f"'trainingType' developerTier is not supported for {GPT5}.", param="trainingType")
        if body.get("suffix") is not None and not _SUFFIX.fullmatch(body["suffix"]):
            raise Refused(400, "'suffix' may have 40 letters, digits, _ and -.", param="suffix")
        job = super().create_job(body if self.keeps_metadata else {**body, "metadata": None})
        job["trainingType"] = body.get("trainingType", "standard")
        return job

    def create_file(self, form: dict[str, Any]) -> Json:
        made = super().create_file(form)
        made |= {"status": "pending", "bytes": None, "ready_at": time.monotonic() + self.file_seconds}
        return made

    def _read_files(self) -> None:
        for about, content in self.files.values():
            if about["status"] == "pending" and time.monotonic() >= about["ready_at"]:
                about["bytes"] = len(content)
                about["status"] = "error" if self.rejects else "processed"
                about["status_details"] = self.rejects or None

    def rows(self, file_id: Any, most: int, param: str) -> list[Json]:
        if file_id in self.files and self.files[file_id][0]["status"] != "processed":
            raise Refused(400, f"The file {file_id} is not ready.", param=param, code="invalid_file")
        rows = super().rows(file_id, most, param)
        for number, row in enumerate(rows, 1):
            if any(isinstance(m["content"], list) and m["content"] for m in row["messages"]):
                parts = [p for m in row["messages"] if isinstance(m["content"], list) for p in m["content"]]
                if any(part.get("type") != "text" for part in parts):
                    raise Refused(400, f"Row {number} holds more than text.", param=param, code="invalid_file")
        return rows

    def checked_method(self, body: Json) -> Json:
        inner = super().checked_method(body)
        document = inner["grader"]
        for grader in [document, *(document.get("graders") or {}).values()]:
            if grader["type"] != "python" and re.search(r"\{\{(\s|[^}]*(\[|\s\}\}))", str(grader)):
                raise Refused(400, "Invalid grader: a template has a space or an index.", param="grader")
        return inner

    def check_judges(self, grader: Json) -> None:
        for part in [grader, *(grader.get("graders") or {}).values()]:
            if part["type"] == "score_model" and part["model"] not in (*JUDGES, *self.arm.deployments):
                raise Refused(400, f"Invalid grader: the model {part['model']} is not available.", param="grader")

    def _listed(self, query: dict[str, str]) -> list[Json]:
        if any(name.startswith("metadata[") for name in query):
            raise Refused(400, "Unknown query parameter: metadata.", param="metadata")
        return super()._listed(query)

    def pause(self, job: Json) -> Json:
        if job["model"] == GPT5:
            raise Refused(400, f"Pausing is not supported for {GPT5}.", code="invalid_state")
        return super().pause(job)

    def _goes_on(self, job: Json, lesson: Lesson) -> bool:
        if job["status"] == "running" and self.pauses_at == lesson.taken:
            self.pauses_at = None
            job["status"] = "pausing"
            self.tell(job, LIMIT, level="warn")
        return super()._goes_on(job, lesson)


def _is_tuned(model: str) -> bool:
    return ".ft-" in model or model.startswith("ftchkpt-")


def running(**options: Any) -> AbstractContextManager[AzureEmulator]:
    """A running emulator with these options of :class:`AzureEmulator`."""
    return started(AzureEmulator(**options))

"""Everything platforms that speak OpenAI's protocol have in common. Adapters subclass and say what differs."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, ClassVar

import httpx2
import openai
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from .bounded import BoundedTransport
from .errors import NotSupported, PlatformError
from .estimates import rated_tokens, text_tokens
from .journal import UNKEPT, Journal, Send
from .openai_embedding import batches, vectors_of
from .openai_errors import translate, unreadable
from .openai_values import checkpoint_of, event_of, sample_of, status_of
from .pacing import UNPACED, Pace, Permit
from .posting import Answered, posted
from .types import (
    Capabilities,
    Checkpoint,
    DeploymentStatus,
    DeployRequest,
    EventPage,
    Handle,
    JsonDict,
    Message,
    Sample,
    SampleRequest,
    State,
    TrainingRequest,
    TrainingStatus,
)

#: Metadata key under which a training job carries the app's key.
KEY = "app_key"
#: Seconds: sampling may take long on a busy engine, everything else answers soon.
SAMPLE_TIMEOUT = 300.0
CALL_TIMEOUT = 60.0
UPLOAD_TIMEOUT = 600.0
_PAGE = 100
#: Pages looked through before a list is called endless.
_MOST_PAGES = 200

Call = Callable[[], Any]


@lru_cache(maxsize=1)
def shared_http(_process: int) -> httpx2.Client:
    """One connection pool per process (a client of its own costs each adapter 20 ms of TLS set-up).

    It follows no redirect, which would carry customer text elsewhere, reads no proxy from the environment and keeps no
    cookies, which would go from one account to the next. Idle connections are dropped before the servers do it
    (uvicorn: 5 s), so that none breaks just when it is used again.
    """
    limits = httpx2.Limits(max_connections=300, keepalive_expiry=3.0)
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    transport = BoundedTransport(httpx2.HTTPTransport(limits=limits, trust_env=False))
    return httpx2.Client(follow_redirects=False, trust_env=False, transport=transport, cookies=no_cookies)


class ProtocolCredentials(BaseModel):
    """What every connection of this protocol needs; ``base_url`` ends before ``/chat/completions``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = Field(pattern=r"^https?://[^\s@]+$")
    api_key: SecretStr = SecretStr("")


class OpenAIProtocol:
    """Implements :class:`~rft_project.platforms.base.Platform`; thread-safe; raises PlatformError only.

    The SDK never retries by itself (one of its calls made three paid jobs after a dropped connection) and never
    follows a redirect.
    """

    kind: ClassVar[str]
    label: ClassVar[str]
    credentials: ClassVar[type[BaseModel]] = ProtocolCredentials
    #: Role under which a system prompt is sent.
    system_role: ClassVar[str] = "system"
    #: When calls may leave; whoever builds the adapter may give it that of the connection.
    pace: Pace = UNPACED

    def __init__(
        self,
        credentials: ProtocolCredentials,
        *,
        http_client: httpx2.Client | None = None,
        call_timeout: float = CALL_TIMEOUT,
    ) -> None:
        self._secret = credentials.api_key.get_secret_value()
        self._call_timeout = call_timeout
        self._client = openai.OpenAI(
            api_key=self._secret or "none",
            base_url=credentials.base_url.rstrip("/"),
            max_retries=0,
            timeout=httpx2.Timeout(call_timeout, connect=10.0),
            http_client=http_client or shared_http(os.getpid()),
        )
        # Not from the environment either: the connection says which organization pays.
        self._client.organization = None
        self._client.project = None

    # What adapters override

    def capabilities(self) -> Capabilities:
        raise NotImplementedError

    def sampling_parameters(self, request: SampleRequest) -> JsonDict:
        """Arguments of the chat call beside model, messages and ``n``."""
        raise NotImplementedError

    def reinforcement(self, request: TrainingRequest) -> JsonDict:
        """The ``method.reinforcement`` object. The grader is sent as the plain dict it is."""
        method: JsonDict = {"grader": request.grader, "hyperparameters": request.hyperparameters}
        if request.response_format is not None:
            method["response_format"] = request.response_format
        return method

    def job_arguments(self, request: TrainingRequest) -> JsonDict:
        """Arguments of a platform's own for the call that creates a job."""
        return {}

    def file_of(self, rows: list[JsonDict], part: str) -> bytes:
        """The file of training rows (``part`` "train" or "valid") as it is uploaded."""
        lines = [{**row, "messages": self.messages(row.get("messages", []))} for row in rows]
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode("utf-8", "replace")

    def default_embedding_model(self) -> str:
        raise NotImplementedError

    # The port

    def check(self) -> None:
        self.listed_models()

    def sample(self, request: SampleRequest) -> Sample:
        started = time.monotonic()
        arguments = self.sampling_parameters(request)
        asked = {"model": request.model, "messages": self.messages(request.messages), "n": request.n, **arguments}
        answer = self._json("sampling", partial(self._asked, asked), tokens=rated_tokens(request))
        sample = self._read("sampling", lambda: sample_of(answer, time.monotonic() - started))
        if not sample.answers:
            raise unreadable(self.label, "sampling")
        return sample

    def embed(self, texts: list[str], model: str = "") -> list[list[float]]:
        vectors: list[list[float]] = []
        name = model or self.default_embedding_model()
        for part in batches(texts):
            answer = self._json("embedding", partial(self._embedded, part, name), tokens=text_tokens(part))
            found = self._read("embedding", partial(vectors_of, answer))
            if len(found) != len(part):
                raise unreadable(self.label, "embedding")
            vectors.extend(found)
        return vectors

    def start_training(self, request: TrainingRequest, journal: Journal = UNKEPT) -> Handle:
        create = self._client.fine_tuning.jobs.with_raw_response.create

        def prepare() -> Send:
            arguments = self._job(request, journal)

            def send() -> str:
                job = self._json("starting training", lambda: create(**arguments), spending=True)
                return str(self._read("starting training", lambda: job["id"], spending=True))

            return send

        made = journal.once(
            "start",
            digest_of(request.model_dump(mode="json")),
            prepare=prepare,
            find=lambda: self._jobs_with(request.key),
            discard=lambda job: self.cancel_training(Handle(id=job)),
        )
        return Handle(id=made)

    def _job(self, request: TrainingRequest, journal: Journal) -> JsonDict:
        """Arguments of the call that creates the job; uploads the rows."""
        return {
            "model": request.model,
            "training_file": self._uploaded(request, "train", request.train_rows, journal),
            "validation_file": self._uploaded(request, "valid", request.valid_rows, journal),
            "method": {"type": "reinforcement", "reinforcement": self.reinforcement(request)},
            "seed": request.seed,
            "metadata": {KEY: request.key},
            **({"suffix": request.suffix} if request.suffix else {}),
            **self.job_arguments(request),
        }

    def find_training(self, key: str) -> Handle | None:
        found = self._jobs_with(key)
        return Handle(id=found[0]) if found else None

    def _jobs_with(self, key: str) -> list[str]:
        """Jobs that carry ``key``, oldest first. The list is checked here too: not every server knows the filter."""
        listing = self._client.fine_tuning.jobs.with_raw_response.list
        pages = self._pages("looking for the training job", lambda **page: listing(metadata={KEY: key}, **page))
        newest_first = [
            str(job["id"]) for job in pages if isinstance(job.get("metadata"), dict) and job["metadata"].get(KEY) == key
        ]
        return newest_first[::-1]

    def training(self, handle: Handle) -> TrainingStatus:
        retrieve = self._client.fine_tuning.jobs.with_raw_response.retrieve
        return status_of(self._json("reading the training job", lambda: retrieve(handle.id)))

    def events(self, handle: Handle, after: str | None = None) -> EventPage:
        """All events since the one with the id ``after``, oldest first. The wire has the newest first."""
        listing = self._client.fine_tuning.jobs.with_raw_response.list_events
        newest_first = []
        for raw in self._pages("reading training events", lambda **page: listing(handle.id, **page)):
            if after is not None and raw.get("id") == after:
                break
            newest_first.append(raw)
        events = self._read("reading training events", lambda: [event_of(raw) for raw in reversed(newest_first)])
        return EventPage(events=events, cursor=events[-1].id if events else after)

    def checkpoints(self, handle: Handle) -> list[Checkpoint]:
        listing = self._client.fine_tuning.jobs.checkpoints.with_raw_response.list
        raw = list(self._pages("reading checkpoints", lambda **page: listing(handle.id, **page)))
        found = self._read("reading checkpoints", lambda: [checkpoint_of(c) for c in raw])
        return sorted(found, key=lambda c: c.step)

    def cancel_training(self, handle: Handle) -> None:
        cancel = self._client.fine_tuning.jobs.with_raw_response.cancel
        try:
            self._json("cancelling training", lambda: cancel(handle.id), urgent=True)
        except PlatformError as error:
            if error.status not in (400, 409) or not self.training(handle).state.final:
                raise

    def pause_training(self, handle: Handle) -> None:
        raise NotSupported(f"{self.label} can't pause a training job; cancel it instead.")

    def resume_training(self, handle: Handle) -> None:
        raise NotSupported(f"{self.label} can't pause a training job, so there is none to go on with.")

    def deploy(self, request: DeployRequest, journal: Journal = UNKEPT) -> Handle:
        """A tuned model answers at once; this only makes sure that it is there."""
        retrieve = self._client.models.with_raw_response.retrieve
        self._json("looking for the model", lambda: retrieve(request.model))
        return Handle(id=request.model, kind="model")

    def deployment(self, handle: Handle) -> DeploymentStatus:
        retrieve = self._client.models.with_raw_response.retrieve
        try:
            self._json("looking for the model", lambda: retrieve(handle.id))
        except PlatformError as error:
            if error.status != 404:
                raise
            return DeploymentStatus(state=State.FAILED, word="missing", detail=str(error), model=handle.id)
        return DeploymentStatus(state=State.SUCCEEDED, word="available", model=handle.id)

    def undeploy(self, handle: Handle) -> None:
        """Nothing to switch off: only the app stops using the model."""

    def promote(self, handle: Handle, model: str) -> None:
        raise NotSupported(f"{self.label} can't put another model behind a deployment; deploy that model instead.")

    # Shared by adapters

    def listed_models(self) -> list[JsonDict]:
        """``GET /models`` as it came."""
        answer = self._json("listing models", lambda: self._client.models.with_raw_response.list())
        return self._read("listing models", lambda: [dict(model) for model in answer["data"]])

    def messages(self, messages: list[Message]) -> list[Message]:
        """System prompts under the role this platform wants."""
        return [{**m, "role": self.system_role} if m.get("role") in ("system", "developer") else m for m in messages]

    def _asked(self, body: JsonDict) -> Answered:
        """One question, not through the SDK: of these there are many at once."""
        client = self._client
        given = {**client.default_headers, "Authorization": f"Bearer {self._bearer()}"}
        headers = {name: value for name, value in given.items() if isinstance(value, str)}
        url = f"{client.base_url}chat/completions"
        return posted(os.getpid(), url, headers, body, timeout=SAMPLE_TIMEOUT)

    def _bearer(self) -> str:
        return self._secret or "none"

    def _embedded(self, texts: list[str], model: str) -> Any:
        create = self._client.embeddings.with_raw_response.create
        return create(model=model, input=texts, encoding_format="float")

    def _uploaded(self, request: TrainingRequest, part: str, rows: list[JsonDict], journal: Journal) -> str:
        """File id of the rows; the name says intent and content, so a second start finds the first one's upload."""
        content = self.file_of(rows, part)
        digest = hashlib.sha256(content).hexdigest()[:16]
        name = f"{file_prefix(request.key)}-{part}-{digest}.jsonl"
        create = self._client.files.with_raw_response.create

        def send() -> str:
            made = self._json(
                f"uploading the {part} rows",
                lambda: create(file=(name, content, "application/jsonl"), purpose="fine-tune", timeout=UPLOAD_TIMEOUT),
                spending=True,
            )
            return str(self._read("uploading", lambda: made["id"], spending=True))

        return journal.once(
            f"upload {part}", digest, prepare=lambda: send, find=lambda: self._files_called(name, len(content))
        )

    def _files_called(self, name: str, size: int) -> list[str]:
        """Files of that name and size, oldest first."""
        files = self._pages("listing files", self._listed_files)
        return [str(f["id"]) for f in files if f.get("filename") == name and f.get("bytes") == size][::-1]

    def _listed_files(self, **page: Any) -> Any:
        return self._client.files.with_raw_response.list(purpose="fine-tune", **page)

    def _pages(self, doing: str, fetch: Callable[..., Any]) -> Iterator[JsonDict]:
        """Items of a cursor list, page after page."""
        page: JsonDict = {"limit": _PAGE}
        for _ in range(_MOST_PAGES):
            answer = self._json(doing, lambda: fetch(**page))  # noqa: B023 - called before page changes
            items = self._read(doing, lambda: [dict(item) for item in answer["data"]])  # noqa: B023 - the same
            yield from items
            if not items or not answer.get("has_more"):
                return
            page = {"limit": _PAGE, "after": str(items[-1].get("id"))}
        raise PlatformError(f"{self.label} sent an endless list while {doing}.")

    def _json(
        self, doing: str, call: Call, *, spending: bool = False, tokens: int | None = None, urgent: bool = False
    ) -> JsonDict:
        """The JSON object a raw SDK call answers with; every failure as PlatformError.

        ``tokens``: what a question may take of the limits; None for calls that only manage. ``urgent`` ones never wait.
        """
        content = self._bytes(doing, call, spending=spending, tokens=tokens, urgent=urgent)
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise unreadable(self.label, doing, spending=spending) from error
        if not isinstance(answer, dict):
            raise unreadable(self.label, doing, spending=spending)
        return answer

    def _bytes(
        self, doing: str, call: Call, *, spending: bool = False, tokens: int | None = None, urgent: bool = False
    ) -> bytes:
        """The body a raw SDK call answers with; every failure as PlatformError."""
        pace = UNPACED if urgent else self.pace
        try:
            with pace.management() if tokens is None else pace.permit(tokens) as permit:
                content: bytes = _told(call, permit).content
        except Exception as error:
            raise translate(error, platform=self.label, doing=doing, spending=spending, secret=self._secret) from error
        return content

    def _read(self, doing: str, build: Callable[[], Any], *, spending: bool = False) -> Any:
        """``build()``; a wrong shape of the answer as PlatformError."""
        try:
            return build()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise unreadable(self.label, doing, spending=spending) from error


def _told(call: Call, permit: Permit) -> Any:
    """What ``call`` answers, once its pace has been told of it."""
    try:
        answer = call()
    except openai.APIStatusError as error:
        permit.answered(error.status_code, error.response.headers)
        raise
    permit.answered(answer.status_code, answer.headers)
    return answer


def file_prefix(key: str) -> str:
    """What the names of an intent's files begin with."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def digest_of(content: JsonDict) -> str:
    """Stands for what a call sends."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8", "replace")).hexdigest()[:32]

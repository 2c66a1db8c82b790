"""Open-weight models on Amazon Bedrock: OpenAI's protocol at bedrock-mantle, with a grader that is a Lambda function.

What AWS documents of the protocol is less than OpenAI's: a job has neither metadata nor suffix, seed nor validation
file. So an intent is found again by its file: the file's name carries the key, and a job whose training file is one of
those is the intent's. Graders of OpenAI's kinds are not taken; the SDK mistakes the ``lambda`` one for a string check,
so only raw JSON is read.
"""

from __future__ import annotations

from typing import Any, ClassVar

import httpx2
from pydantic import BaseModel, Field, SecretStr

from . import aws_policies as policies
from . import catalogue
from .aws import AwsCredentials, Clients, place_of, translate
from .base import refuse_at_work
from .bedrock_values import check_counts, jsonl, settings_of, trainable
from .errors import NotSupported, PlatformError
from .grader_log import function_of, observed
from .journal import Journal
from .lambda_grader import LambdaGrader, asks_a_judge
from .observed_rewards import LOT, Cursor
from .openai_protocol import CALL_TIMEOUT, ProtocolCredentials, file_prefix
from .openai_sampling import ChatModels
from .types import (
    Capabilities,
    EventPage,
    Handle,
    JsonDict,
    ModelInfo,
    SampleRequest,
    TrainingEvent,
    TrainingRequest,
    TrainingStatus,
)

_LOG = "|log:"  # between an event's id and how far the grader's log was read


class BedrockOpenAICredentials(AwsCredentials):
    """``api_key``: a Bedrock API key; its owner invokes the grader's function. ``base_url``: '' is the region's own
    address. The AWS fields are for publishing that function, and for nothing else."""

    api_key: SecretStr = Field(min_length=1)
    base_url: str = Field("", pattern=r"^$|^https?://[^\s@]+$")

    @property
    def server_sign_in(self) -> bool:
        """Whether functions are published with what this server is signed in with; without a role none is."""
        return not self.access_key_id and bool(self.grader_role_arn or self.judge_role_arn)

    @property
    def address(self) -> str:
        """Named in full: the SDK's own default for Bedrock ends in /openai/v1, where these models are not."""
        return self.base_url or f"https://bedrock-mantle.{self.region}.api.aws/v1"


class BedrockOpenAIPlatform(ChatModels):
    kind: ClassVar[str] = "bedrock_openai"
    label: ClassVar[str] = "Amazon Bedrock, open-weight models"
    credentials: ClassVar[type[BaseModel]] = BedrockOpenAICredentials
    system_role: ClassVar[str] = "system"

    def __init__(
        self,
        credentials: BedrockOpenAICredentials,
        *,
        http_client: httpx2.Client | None = None,
        call_timeout: float = CALL_TIMEOUT,
    ) -> None:
        wire = ProtocolCredentials(base_url=credentials.address, api_key=credentials.api_key)
        super().__init__(wire, http_client=http_client, call_timeout=call_timeout)
        self._given = credentials
        remedy = policies.text_of(policies.publisher_policy(place_of(credentials)))
        self._clients = Clients(credentials, self.label)
        self._graders = LambdaGrader(self._clients, self.label, remedy)

    def capabilities(self) -> Capabilities:
        """The catalogue's models of the connection's region; asks nobody."""
        entry = catalogue.entry(self.kind)
        here = [model for model in entry.models if self._given.region in model.regions]
        notice = entry.notice
        if not here:
            places = sorted({region for model in entry.models for region in model.regions})
            notice = f"Nothing can be trained in {self._given.region}: use a connection to {' or '.join(places)}."
        elif not self._given.grader_role_arn:
            notice = "To train, this connection still needs a grader role."
        train = bool(here) and bool(self._given.grader_role_arn)
        return Capabilities(sample=True, train=train, deploy=True, models=here, notice=notice)

    def check(self) -> None:
        """One page of jobs: of what is documented, what costs nothing."""
        listing = self._client.fine_tuning.jobs.with_raw_response.list
        self._json("listing jobs", lambda: listing(limit=1))

    def sampling_parameters(self, request: SampleRequest) -> JsonDict:
        """No seed: AWS's pages do not name it."""
        arguments: JsonDict = {"max_completion_tokens": request.max_tokens, "temperature": request.temperature}
        if request.tools:
            arguments["tools"] = request.tools
        if request.response_format is not None:
            arguments["response_format"] = request.response_format
        return arguments

    def embed(self, texts: list[str], model: str = "") -> list[list[float]]:
        raise NotSupported(f"{self.label}: it embeds no texts. Choose another connection for that.")

    # Training

    def _job(self, request: TrainingRequest, journal: Journal) -> JsonDict:
        """The grader is published and tried first: where it fails, no row has been sent."""
        info = self._trainable(request)
        check_counts(info, len(request.train_rows), 0)
        settings = settings_of(info, request.hyperparameters)
        jsonl(request.train_rows, "train")  # refuses rows that Bedrock would
        role = self._given.judge_role_arn if asks_a_judge(request.grader) else self._given.grader_role_arn
        function = self._graders.published(request.key, request.grader_package, role, journal)
        self._graders.tried(function, request.train_rows)
        method: JsonDict = {"grader": {"type": "lambda", "lambda": {"function": function}}}
        if settings:
            method["hyperparameters"] = settings
        return {
            "model": request.model,
            "training_file": self._uploaded(request, "train", request.train_rows, journal),
            "method": {"type": "reinforcement", "reinforcement": method},
        }

    def events(self, handle: Handle, after: str | None = None) -> EventPage:
        """What the platform tells, and beside it the rewards the grader itself logged, which are told for each of its
        parts. The cursor is the last event's id, with how far the log was read behind it."""
        last, _, read = (after or "").partition(_LOG)
        page = super().events(handle, last or None)
        events, cursor = self._observed(self.training(handle), Cursor.of(read or None))
        if not page.events and not events:
            return EventPage(events=[], cursor=after)
        return EventPage(events=[*page.events, *events], cursor=f"{page.cursor or ''}{_LOG}{cursor.text()}")

    def _observed(self, status: TrainingStatus, cursor: Cursor) -> tuple[list[TrainingEvent], Cursor]:
        """A log that does not answer now is read at the next look."""
        method = (status.raw.get("method") or {}).get("reinforcement") or {}
        grader = (method.get("grader") or {}).get("lambda") or {}
        begin, function = int(status.raw.get("created_at") or 0) * 1000, function_of(grader.get("function"))
        try:
            return observed(self._aws, function, begin, cursor, LOT, final=status.state.final)
        except PlatformError as error:
            if error.retryable:
                return [], cursor
            raise

    def _aws(self, doing: str, service: str, operation: str, *, wants: tuple[str, ...], **arguments: Any) -> JsonDict:
        """One call of boto3 that manages; ``wants``: what the answer must have. Raises PlatformError."""
        try:
            with self.pace.management():
                answer: JsonDict = getattr(self._clients(service), operation)(**arguments)
            return {**answer, **{name: answer[name] for name in wants}}
        except Exception as error:
            raise translate(error, platform=self.label, doing=doing) from None

    def file_of(self, rows: list[JsonDict], part: str) -> bytes:
        return jsonl(rows, part)

    def _jobs_with(self, key: str) -> list[str]:
        """Jobs whose training file carries ``key`` in its name, oldest first."""
        prefix = f"{file_prefix(key)}-train-"
        files = self._pages("listing files", self._listed_files)
        ours = {str(file["id"]) for file in files if str(file.get("filename", "")).startswith(prefix)}
        if not ours:
            return []
        listing = self._client.fine_tuning.jobs.with_raw_response.list
        jobs = self._pages("looking for the training job", listing)
        return [str(job["id"]) for job in jobs if job.get("training_file") in ours][::-1]

    def _trainable(self, request: TrainingRequest) -> ModelInfo:
        """The catalogue's entry of the model. Raises PlatformError where this connection can't train it."""
        judged = asks_a_judge(request.grader)
        return trainable(self.kind, self.label, self._given.region, request, self._missing(judged=judged))

    def _missing(self, *, judged: bool) -> list[str]:
        if judged:
            return [] if self._given.judge_role_arn else ["a judge role"]
        return [] if self._given.grader_role_arn else ["a grader role"]

    def clean_up(self, key: str) -> list[str]:
        """Delete what a run left besides its model: the grader's function and the run's files. Idempotent.

        Returns what was deleted, in words. Raises PlatformError while the run's job is at work.
        """
        refuse_at_work(self, key)
        deleted = ["the grader's function"] if self._graders.delete(key) else []
        delete = self._client.files.with_raw_response.delete
        for file in list(self._pages("listing files", self._listed_files)):
            name = str(file.get("filename", ""))
            if name.startswith(f"{file_prefix(key)}-"):
                self._json("deleting a file", lambda: delete(str(file["id"])))  # noqa: B023 - called at once
                deleted.append(name)
        return deleted

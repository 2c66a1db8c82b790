"""Amazon Bedrock through AWS's own API: Nova is trained here, and tuned models are deployed and asked.

Names made of the intent's key are what makes each call find what an earlier attempt made: jobs, functions and
deployments have unique names, files lie under the key.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from . import aws_policies as policies
from . import catalogue
from .aws import CALL_TIMEOUT, DENIED, AwsCredentials, Clients, code_of, place_of, told, translate
from .base import refuse_at_work
from .bedrock_asking import BedrockAsking
from .bedrock_checks import AccountCheck
from .bedrock_deployments import BedrockDeployments
from .bedrock_story import Story
from .bedrock_values import (
    check_counts,
    folder,
    job_name,
    jsonl,
    model_name,
    settings_of,
    short,
    trainable,
    training_status,
)
from .errors import NotSupported, PlatformError
from .journal import UNKEPT, Journal, Send, taken
from .lambda_grader import LambdaGrader, asks_a_judge
from .pacing import UNPACED, Pace, Permit
from .types import Capabilities, Checkpoint, EventPage, Handle, JsonDict, ModelInfo, TrainingRequest, TrainingStatus

#: What ends spending waits for no rate limit.
_URGENT = ("stop_model_customization_job",)
_ROLE = r"^$|^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$"


class BedrockCredentials(AwsCredentials):
    """What asking needs is there already; the bucket and the roles are for training."""

    bucket: str = Field("", pattern=r"^$|^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    job_role_arn: str = Field("", pattern=_ROLE)


class BedrockPlatform(BedrockAsking, BedrockDeployments):
    """Implements :class:`~rft_project.platforms.base.Platform`; thread-safe; raises PlatformError only."""

    kind: ClassVar[str] = "bedrock"
    label: ClassVar[str] = "Amazon Bedrock"
    credentials: ClassVar[type[BaseModel]] = BedrockCredentials
    #: When calls may leave; whoever builds the adapter may give it that of the connection.
    pace: Pace = UNPACED

    def __init__(self, credentials: BedrockCredentials, *, call_timeout: float = CALL_TIMEOUT) -> None:
        self._given = credentials
        self._clients = Clients(credentials, self.label, call_timeout)

    def capabilities(self) -> Capabilities:
        entry = catalogue.entry(self.kind)
        here = [model for model in entry.models if self._given.region in model.regions]
        places = sorted({region for model in entry.models for region in model.regions})
        missing = self._missing()
        notice = entry.notice
        if not here:
            notice = f"Nothing can be trained in {self._given.region}: use a connection to {' or '.join(places)}."
        elif missing:
            notice = f"To train, this connection still needs {' and '.join(missing)}."
        return Capabilities(
            sample=True,
            embed=True,
            train=bool(here) and not missing,
            deploy=True,
            promote=True,
            models=here,
            notice=notice,
        )

    def check(self) -> None:
        """Credentials, models, bucket and roles; what is missing comes as ``remedy``, ready to copy."""
        given = self._given
        AccountCheck(self._clients, self.label, self._place()).run(
            job_role=given.job_role_arn,
            grader_role=given.grader_role_arn,
            judge_role=given.judge_role_arn,
            bucket=given.bucket,
        )

    # Training

    def start_training(self, request: TrainingRequest, journal: Journal = UNKEPT) -> Handle:
        """Rows to S3, the grader to Lambda, tried there with ten rows, then the job."""
        info = self._trainable(request)
        check_counts(info, len(request.train_rows), len(request.valid_rows))
        settings = settings_of(info, request.hyperparameters)
        parts = {"train": request.train_rows, "valid": request.valid_rows}
        files = {part: jsonl(rows, part) for part, rows in parts.items() if rows}  # refuses rows that Bedrock would
        made = journal.once(
            "start",
            hashlib.sha256(json.dumps(request.model_dump(mode="json"), sort_keys=True).encode()).hexdigest(),
            prepare=lambda: self._prepared(request, settings, files, journal),
            find=lambda: self._jobs_with(request.key),
            discard=lambda job: self.cancel_training(Handle(id=job)),
        )
        return Handle(id=made)

    def find_training(self, key: str) -> Handle | None:
        found = self._jobs_with(key)
        return Handle(id=found[0]) if found else None

    def training(self, handle: Handle) -> TrainingStatus:
        return training_status(self._job(handle.id))

    def events(self, handle: Handle, after: str | None = None) -> EventPage:
        """The rewards that the grader logged, and metric files if Bedrock wrote any."""
        return Story(self._clients, self._call).since(self._job(handle.id), after)

    def checkpoints(self, handle: Handle) -> list[Checkpoint]:
        """Bedrock keeps none that can be seen."""
        return []

    def cancel_training(self, handle: Handle) -> None:
        try:
            self._call("cancelling training", "bedrock", "stop_model_customization_job", jobIdentifier=handle.id)
        except PlatformError as error:
            status = self.training(handle) if error.code in ("ConflictException", "ValidationException") else None
            if status is None or not (status.state.final or status.word == "Stopping"):
                raise

    def pause_training(self, handle: Handle) -> None:
        raise NotSupported(f"{self.label} can't pause a training job; cancel it instead.")

    def resume_training(self, handle: Handle) -> None:
        raise NotSupported(f"{self.label} can't pause a training job, so there is none to go on with.")

    def clean_up(self, key: str) -> list[str]:
        """Delete what a run left besides its model: the grader's function and the run's files. Idempotent.

        Returns what was deleted, in words. Raises PlatformError while the run's job is at work.
        """
        refuse_at_work(self, key)
        graders = LambdaGrader(self._clients, self.label, self._remedy())
        deleted = ["the grader's function"] if graders.delete(key) else []
        files = self._files(f"{folder(key)}/")
        for name in files:
            self._call("deleting files", "s3", "delete_object", Bucket=self._given.bucket, Key=name)
        return deleted + files

    # Parts of it

    def _trainable(self, request: TrainingRequest) -> ModelInfo:
        """The catalogue's entry of the model. Raises PlatformError where this connection can't train it."""
        judged = asks_a_judge(request.grader)
        return trainable(self.kind, self.label, self._given.region, request, self._missing(judged=judged))

    def _missing(self, *, judged: bool = False) -> list[str]:
        given = self._given
        wanted = {"a bucket": given.bucket, "a job role": given.job_role_arn, "a grader role": given.grader_role_arn}
        if judged:
            wanted["a judge role"] = given.judge_role_arn
        return [name for name, value in wanted.items() if not value]

    def _prepared(
        self, request: TrainingRequest, settings: JsonDict, files: dict[str, bytes], journal: Journal
    ) -> Send:
        places = {part: self._uploaded(request.key, part, content, journal) for part, content in files.items()}
        judged = asks_a_judge(request.grader)
        role = self._given.judge_role_arn if judged else self._given.grader_role_arn
        graders = LambdaGrader(self._clients, self.label, self._remedy())
        function = graders.published(request.key, request.grader_package, role, journal)
        graders.tried(function, request.train_rows)
        arguments = self._arguments(request, settings, places["train"], function)
        validators = {"validationDataConfig": {"validators": [{"s3Uri": places["valid"]}]}} if "valid" in places else {}
        return lambda: self._create(request.key, arguments, validators)

    def _arguments(self, request: TrainingRequest, settings: JsonDict, train: str, function: str) -> JsonDict:
        config: JsonDict = {"graderConfig": {"lambdaGrader": {"lambdaArn": function}}}
        if settings:
            config["hyperParameters"] = settings
        return {
            "jobName": job_name(request.key),
            "customModelName": model_name(request),
            "roleArn": self._given.job_role_arn,
            "baseModelIdentifier": request.model,
            "customizationType": "REINFORCEMENT_FINE_TUNING",
            "clientRequestToken": short(request.key),
            "trainingDataConfig": {"s3Uri": train},
            "outputDataConfig": {"s3Uri": f"s3://{self._given.bucket}/{folder(request.key)}/out/"},
            "customizationConfig": {"rftConfig": config},
            "jobTags": [{"key": "app", "value": "rft-studio"}],
        }

    def _create(self, key: str, arguments: JsonDict, validators: JsonDict) -> str:
        """AWS's pages contradict each other on validation rows for Nova 2 Lite: where they are refused, without."""
        try:
            return self._created(key, {**arguments, **validators})
        except PlatformError as refusal:
            if not validators or refusal.code != "ValidationException" or "validat" not in str(refusal).lower():
                raise
            token = f"{arguments['clientRequestToken']}-alone"
            return self._created(key, {**arguments, "clientRequestToken": token})

    def _created(self, key: str, arguments: JsonDict) -> str:
        doing, operation = "starting training", "create_model_customization_job"
        try:
            made = self._call(doing, "bedrock", operation, spending=True, wants=("jobArn",), **arguments)
        except PlatformError as error:
            if error.code != "ConflictException":
                raise
            return taken(error, lambda: self._jobs_with(key))
        return str(made["jobArn"])

    def _uploaded(self, key: str, part: str, content: bytes, journal: Journal) -> str:
        """S3 address of the rows; its name says intent and content, so a second start finds the first one's upload."""
        digest = hashlib.sha256(content).hexdigest()[:16]
        name = f"{folder(key)}/{part}-{digest}.jsonl"
        place: JsonDict = {"Bucket": self._given.bucket, "Key": name}

        def send() -> str:
            self._call(f"uploading the {part} rows", "s3", "put_object", spending=True, Body=content, **place)
            return f"s3://{self._given.bucket}/{name}"

        def find() -> list[str]:
            return [f"s3://{self._given.bucket}/{file}" for file in self._files(name)]

        return journal.once(f"upload {part}", digest, prepare=lambda: send, find=find)

    def _files(self, prefix: str) -> list[str]:
        """Keys of the bucket that begin so."""
        found: list[str] = []
        more: JsonDict = {}
        while True:
            arguments = {"Bucket": self._given.bucket, "Prefix": prefix, **more}
            page = self._call("looking at the bucket", "s3", "list_objects_v2", **arguments)
            found += [str(file["Key"]) for file in page.get("Contents", [])]
            if not page.get("IsTruncated"):
                return found
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _jobs_with(self, key: str) -> list[str]:
        try:
            return [str(self._job(job_name(key))["jobArn"])]
        except PlatformError as error:
            if error.status == 404:
                return []
            raise

    def _job(self, name: str) -> JsonDict:
        doing, operation = "reading the training job", "get_model_customization_job"
        return dict(self._call(doing, "bedrock", operation, wants=("jobArn", "jobName"), jobIdentifier=name))

    def _call(
        self,
        doing: str,
        service: str,
        operation: str,
        *,
        spending: bool = False,
        wants: tuple[str, ...] = (),
        tokens: int | None = None,
        **arguments: Any,
    ) -> Any:
        """One call of boto3; ``wants``: what the answer must have, since boto3 reads broken JSON as an empty one.
        ``tokens``: what a question may take of the limits; None for calls that only manage.

        Raises PlatformError, with the missing policy where access was denied.
        """
        try:
            with self._leave(operation, tokens) as permit:
                answer = told(partial(getattr(self._clients(service), operation), **arguments), permit)
            return answer if not wants else {**answer, **{name: answer[name] for name in wants}}
        except Exception as error:
            remedy = self._remedy() if code_of(error) in DENIED else ""
            raise translate(error, platform=self.label, doing=doing, spending=spending, remedy=remedy) from None

    def _leave(self, operation: str, tokens: int | None) -> AbstractContextManager[Permit]:
        if tokens is not None:
            return self.pace.permit(tokens)
        return UNPACED.management() if operation in _URGENT else self.pace.management()

    def _place(self) -> policies.Place:
        return place_of(self._given, bucket=self._given.bucket, job_role=self._given.job_role_arn)

    def _remedy(self) -> str:
        return policies.text_of(policies.app_policy(self._place()))

"""Amazon Bedrock on loopback: control plane, runtime and CloudWatch Logs, with S3, IAM, STS and Lambda, on one address.

Stricter than the service where it can be: each request is held against the service's API model, maxima, patterns and
choices too, and each answer as well (``wrong_answers``). Keys and roles may do what the policies that the product
prints allow them. Rows, roles and functions must be there. Jobs really run the function they are given. Sources:
botocore 1.44.5's models, the Bedrock user guide. Ids of what it makes begin with ``sim0``.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from rft_project.platforms import aws_policies as printed

from .aws_account import ACCOUNT, AwsAccount
from .aws_iam import Need, Place, allows, needs_of_call, needs_of_request
from .aws_shapes import Call, answer_problems, rest_call, target_call
from .aws_wire import scope, session_of, xml
from .bedrock_jobs import TRAINABLE, GraderFailed, checked_job, graded, needs_of_job, now, refuse, settings_for
from .bedrock_runtime import EMBEDDING, conversed, embedded
from .faults import Fault
from .lambda_runs import LambdaProcess, Run
from .limits import Limits
from .policy import Policy, replies_for
from .training import Lesson
from .wire import Answer, Emulator, Json, Refused, Request, started

__all__ = ["ACCOUNT", "BASE", "EMBEDDING", "TRAINABLE", "BedrockEmulator", "Fault", "Limits", "running"]

BASE = "us.amazon.nova-2-lite-v1:0"
_SECRET = "emulated-secret"
_FINAL = ("Completed", "Failed", "Stopped")
#: What is kept of a deployment and not told.
_INNER = ("active_at", "updated_at")


class BedrockEmulator(Emulator):
    """``credentials`` are a connection's. ``policies``: what each access key may do, those of roles' sessions among
    them; a key that is not there may do everything. ``denied``: actions such as "s3:PutObject" that nobody may do.
    ``needed``: the actions each key needed so far.

    ``refuses_validation``: jobs with validators are refused. ``stops_early``: the step after which the service ends a
    job by itself. ``fails_at``: the step at which a job fails inside. ``deploy_seconds``: until a deployment is Active.
    ``as_in_samples``: whether jobs write events as AWS's samples read them. ``update_seconds``: until another model
    stands behind a deployment; ``fails_to_update``: it never does. ``function_timeout``: seconds that jobs give the
    grader instead of its own. ``metric_file``: a CSV that a finished job leaves in its output.
    """

    def __init__(
        self, *, region: str = "us-east-1", step_seconds: float = 0.0, deploy_seconds: float = 0.0, **options: Any
    ) -> None:
        super().__init__(key=options.pop("key", f"AKIAEMULATED{uuid.uuid4().hex[:8].upper()}"), **options)
        self.region = region
        self.account = AwsAccount(region, self.key)
        self.step_seconds = step_seconds
        self.deploy_seconds = deploy_seconds
        self.place = Place(region, ACCOUNT)
        self.policies = self._printed_policies()
        self.denied: set[str] = set()
        self.needed: dict[str, set[str]] = {}
        self.refuses_validation = False
        self.stops_early: int | None = None
        self.fails_at: int | None = None
        self.function_timeout: float | None = None
        self.as_in_samples = False
        self.update_seconds = 0.0
        self.fails_to_update = False
        self.metric_file = ""
        self.jobs: dict[str, Json] = {}
        self.models: dict[str, tuple[Json, Policy]] = {}
        self.deployments: dict[str, Json] = {}
        #: Lines of functions' logs by name: (epoch ms, line).
        self.logs: dict[str, list[tuple[int, str]]] = {}
        self.invocations: list[tuple[str, Any]] = []
        #: What an answer of this emulator had that the service's could not have.
        self.wrong_answers: list[str] = []
        self._tokens: dict[str, tuple[Json, Json]] = {}
        self._processes: dict[str, LambdaProcess] = {}
        self._threads: list[threading.Thread] = []

    @property
    def credentials(self) -> Json:
        account = self.account
        return {
            "region": self.region,
            "access_key_id": self.key,
            "secret_access_key": _SECRET,
            "bucket": account.bucket,
            "job_role_arn": account.job_role,
            "grader_role_arn": account.grader_role,
            "judge_role_arn": account.judge_role,
            "endpoint_url": self.origin,
        }

    def _printed_policies(self) -> dict[str, Json]:
        """The account as somebody sets it up who copies what the product prints."""
        account = self.account
        roles = {"job_role": account.job_role, "grader_role": account.grader_role, "judge_role": account.judge_role}
        place = printed.Place(account=ACCOUNT, region=self.region, bucket=account.bucket, **roles)
        return {
            self.key: printed.app_policy(place),
            session_of(account.job_role): printed.job_policy(place),
            session_of(account.grader_role): printed.grader_policy(place),
            session_of(account.judge_role): printed.judge_policy(place),
        }

    def stop(self) -> None:
        super().stop()
        for thread in self._threads:
            thread.join(10)
        for process in self._processes.values():
            process.close()

    # The wire

    def authorize(self, request: Request) -> None:
        key, _, region, *_ = [*scope(request), "", ""]
        if key != self.key and not key.startswith("ASIA"):
            raise Refused(
                403, "The security token included in the request is invalid.", code="UnrecognizedClientException"
            )
        if region != self.region:
            raise Refused(403, f"Credential should be scoped to {self.region}.", code="SignatureDoesNotMatch")

    def limited(self, request: Request) -> int | None:
        return len(request.content) // 4 if request.parts[0] == "model" else None

    def refusal(self, refused: Refused) -> Answer:
        code = refused.code or {
            429: "ThrottlingException",
            403: "AccessDeniedException",
            404: "ResourceNotFoundException",
        }.get(refused.status, "InternalServerException" if refused.status >= 500 else "ValidationException")
        headers = {"x-amzn-errortype": code, "x-amzn-requestid": uuid.uuid4().hex, **refused.headers}
        return Answer(refused.status, {"message": refused.message, "__type": code}, headers)

    def route(self, request: Request) -> Any:
        key, _, _, service, *_ = [*scope(request), "", "", ""]
        if service == "logs":
            return self._called(target_call("logs", request), key)
        if service == "bedrock":
            call = rest_call("bedrock", request) or rest_call("bedrock-runtime", request)
            if call is None:
                raise Refused(
                    404, f"No such operation: {request.method} {request.path}", code="UnknownOperationException"
                )
            return self._called(call, key)
        missing = self.missing(key, needs_of_request(service, request, self.place))
        if missing:
            return self._denied_elsewhere(missing, service)
        if service == "lambda" and request.parts[-1] == "invocations":
            return self._invoke(request)
        return self.account.forward(request)

    def answer(self, request: Request) -> Answer:
        """Refusals in the shape that the service asked uses."""
        answer = super().answer(request)
        service = (scope(request) + [""] * 4)[3]
        if answer.status < 400 or service not in ("iam", "sts", "s3") or not isinstance(answer.body, dict):
            return answer
        return xml(service, answer.status, answer.body["__type"], answer.body["message"])

    def _routed(self, request: Request) -> Answer:
        """A function is run without the lock: a judge inside it calls back."""
        if scope(request)[-2:-1] == ["lambda"] and request.parts[-1] == "invocations":
            return self.route(request)
        return super()._routed(request)

    def _called(self, call: Call, key: str) -> Answer:
        missing = self.missing(key, needs_of_call(call, self.place))
        if missing:
            raise Refused(403, self._no(missing), code="AccessDeniedException")
        handler = getattr(self, f"on_{call.operation}", None)
        if handler is None:
            raise Refused(501, f"{call.operation} is not emulated.", code="InternalServerException")
        body = handler(call.parameters)
        if isinstance(body, Answer):
            return body
        self.wrong_answers += answer_problems(call, body)
        return Answer(call.status, body, {"x-amzn-requestid": uuid.uuid4().hex})

    def missing(self, key: str, needs: list[Need]) -> str:
        """The first action that ``key`` may not do, '' where it may do all. Kept in ``needed``."""
        self.needed.setdefault(key, set()).update(need.action for need in needs)
        policy = self.policies.get(key)
        lacking = [n for n in needs if n.action in self.denied or (policy is not None and not allows(policy, n))]
        return f"{lacking[0].action} on resource: {lacking[0].resource}" if lacking else ""

    def _no(self, wanted: str) -> str:
        who = f"arn:aws:iam::{ACCOUNT}:user/rft"
        return f"User: {who} is not authorized to perform: {wanted} because no identity-based policy allows it"

    def _denied_elsewhere(self, wanted: str, service: str) -> Answer:
        message = self._no(wanted)
        self.problems.append(message)
        if service == "lambda":
            return self.refusal(Refused(403, message, code="AccessDeniedException"))
        return xml(service, 403, "AccessDenied", message)

    # Lambda

    def _invoke(self, request: Request) -> Answer:
        name = request.parts[2]
        if self.account.function(name) is None:
            raise Refused(404, f"Function not found: {name}", code="ResourceNotFoundException")
        if len(request.content) > 6 * 1024 * 1024:
            raise Refused(413, "Request must be smaller than 6291456 bytes", code="RequestTooLargeException")
        run = self.run(name, json.loads(request.content))
        if run.error is not None:
            return Answer(200, run.error, {"x-amz-function-error": "Unhandled"})
        return Answer(200, run.result)

    def run(self, arn: str, event: Any, timeout: float | None = None) -> Run:
        """Run the function, in its own process, and keep what it printed. ``timeout``: instead of the function's."""
        function = self.account.function(arn)
        with self.lock:
            if arn not in self._processes:
                content = bytes(function.code_bytes)
                self._processes[arn] = LambdaProcess(content, function.handler, self._environment(function.role))
            process = self._processes[arn]
        run = process.invoke(event, timeout or float(function.timeout))
        with self.lock:
            self.invocations.append((arn, event))
            at = time.time_ns() // 1_000_000
            name = function.function_name
            group = self.place.arn("logs", f"log-group:/aws/lambda/{name}")
            writes = [Need(f"logs:{verb}", f"{group}:log-stream:1") for verb in ("CreateLogStream", "PutLogEvents")]
            if not self.missing(session_of(function.role), [Need("logs:CreateLogGroup", group), *writes]):
                self.logs.setdefault(name, []).extend((at, line) for line in ["START RequestId: 1", *run.log, "END"])
        return run

    def _environment(self, role: str) -> dict[str, str]:
        """What AWS puts into a function's, as far as boto3 looks at it."""
        return {
            "AWS_ENDPOINT_URL": self.origin,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": session_of(role),
            "AWS_SECRET_ACCESS_KEY": _SECRET,
        }

    def on_FilterLogEvents(self, given: Json) -> Json:
        name = given["logGroupName"].removeprefix("/aws/lambda/")
        if name not in self.logs:
            raise Refused(400, "The specified log group does not exist.", code="ResourceNotFoundException")
        lines = [(at, line) for at, line in self.logs[name] if at >= given.get("startTime", 0)]
        begin, size = int(given.get("nextToken", "0")), int(given.get("limit", 10_000))
        page = [
            {
                "logStreamName": "2026/11/25/[1]emulated",
                "timestamp": at,
                "message": line,
                "ingestionTime": at,
                "eventId": "0",
            }
            for at, line in lines[begin : begin + size]
        ]
        more = {"nextToken": str(begin + size)} if begin + size < len(lines) else {}
        return {"events": page, "searchedLogStreams": [], **more}

    # Jobs

    def on_ListFoundationModels(self, given: Json) -> Json:
        about = {"modelArn": f"arn:aws:bedrock:{self.region}::foundation-model/{TRAINABLE}", "modelId": TRAINABLE,
                 "modelName": "Nova 2 Lite", "providerName": "Amazon"}  # fmt: skip
        return {"modelSummaries": [about]}

    def on_CreateModelCustomizationJob(self, given: Json) -> Json:
        token = given.get("clientRequestToken", "")
        if token in self._tokens:
            before, answer = self._tokens[token]
            if before == given:
                return answer
            raise Refused(400, "The clientRequestToken was used with other parameters.", code="ConflictException")
        if any(job["jobName"] == given["jobName"] for job in self.jobs.values()):
            raise Refused(400, f"The job name {given['jobName']} is in use.", code="ConflictException")
        if any(job["outputModelName"] == given["customModelName"] for job in self.jobs.values()):
            raise Refused(400, f"The model name {given['customModelName']} is in use.", code="ConflictException")
        if self.refuses_validation and given.get("validationDataConfig"):
            raise Refused(400, "Validation datasets are not supported for this model.", code="ValidationException")
        train, valid = checked_job(given, self.account)
        lacking = self.missing(session_of(given["roleArn"]), needs_of_job(given))
        if lacking:
            raise refuse(f"The role {given['roleArn']} is not authorized to perform: {lacking}")
        at, number = now(), uuid.uuid4().hex[:8]
        kept = (
            "jobName",
            "roleArn",
            "trainingDataConfig",
            "outputDataConfig",
            "customizationType",
            "customizationConfig",
        )
        job = {
            **{name: given[name] for name in kept},
            "jobArn": f"arn:aws:bedrock:{self.region}:{ACCOUNT}:model-customization-job/{TRAINABLE}/sim0{number}",
            "outputModelName": given["customModelName"],
            "baseModelArn": f"arn:aws:bedrock:{self.region}::foundation-model/{TRAINABLE}",
            "validationDataConfig": given.get("validationDataConfig", {"validators": []}),
            "creationTime": at,
            "lastModifiedTime": at,
            "status": "InProgress",
        }
        self.jobs[job["jobArn"]] = job
        answer = {"jobArn": job["jobArn"]}
        if token:
            self._tokens[token] = (given, answer)
        thread = threading.Thread(target=self._train, args=(job, train, valid), daemon=True)
        self._threads.append(thread)
        thread.start()
        return answer

    def on_GetModelCustomizationJob(self, given: Json) -> Json:
        return self._job(given)

    def on_StopModelCustomizationJob(self, given: Json) -> Json:
        job = self._job(given)
        if job["status"] != "InProgress":
            raise Refused(400, f"The job is {job['status']}.", code="ConflictException")
        job["status"] = "Stopping"
        return {}

    def _job(self, given: Json) -> Json:
        wanted = given["jobIdentifier"]
        for job in self.jobs.values():
            if wanted in (job["jobArn"], job["jobName"]):
                return job
        raise Refused(404, f"No model customization job {wanted}.", code="ResourceNotFoundException")

    def _train(self, job: Json, train: list[Json], valid: list[Json]) -> None:
        config = job["customizationConfig"]["rftConfig"]
        arn = config["graderConfig"]["lambdaGrader"]["lambdaArn"]
        policy = Policy(replies_for([{k: v for k, v in row.items() if k != "id"} for row in train]))
        lesson = Lesson(policy, train, valid, settings_for(config.get("hyperParameters", {}), len(train)), seed=7)
        try:
            while not lesson.done and not self.closing.is_set():
                if job["status"] == "Stopping":
                    return self._ended(job, "Stopped")
                lesson.step(lambda pairs: self._graded(arn, pairs))
                if lesson.taken == self.fails_at:
                    return self._ended(job, "Failed", "An internal error occurred. Retry the job.")
                if lesson.taken == self.stops_early:
                    break
                self.closing.wait(self.step_seconds)
        except GraderFailed as failure:
            return self._ended(job, "Failed", str(failure))
        with self.lock:
            if job["status"] == "Stopping":
                return self._ended(job, "Stopped")
            model = job["jobArn"].replace(":model-customization-job/", ":custom-model/")
            about = {"modelArn": model, "modelName": job["outputModelName"], "jobArn": job["jobArn"]}
            self.models[model] = (about, policy.copy())
            job["outputModelArn"] = model
            if self.metric_file:
                place = job["outputDataConfig"]["s3Uri"].removeprefix("s3://").split("/", 1)
                name = f"{place[1]}training_artifacts/step_wise_training_metrics.csv"
                self.account.s3.put_object(Bucket=place[0], Key=name, Body=self.metric_file.encode())
            return self._ended(job, "Completed")

    def _graded(self, arn: str, pairs: Any) -> Any:
        invoke = partial(self.run, arn, timeout=self.function_timeout)
        return graded(pairs, invoke, as_in_samples=self.as_in_samples)

    def _ended(self, job: Json, word: str, failure: str = "") -> None:
        with self.lock:
            job |= {"status": word, "endTime": now(), "lastModifiedTime": now()}
            if failure:
                job["failureMessage"] = failure

    # Deployments

    def on_CreateCustomModelDeployment(self, given: Json) -> Json:
        if any(found["modelDeploymentName"] == given["modelDeploymentName"] for found in self.deployments.values()):
            raise Refused(400, "The deployment name is in use.", code="ConflictException")
        if given["modelArn"] not in self.models:
            raise Refused(404, f"No custom model {given['modelArn']}.", code="ResourceNotFoundException")
        arn = f"arn:aws:bedrock:{self.region}:{ACCOUNT}:custom-model-deployment/sim0{uuid.uuid4().hex[:8]}"
        self.deployments[arn] = {
            "customModelDeploymentArn": arn,
            "modelDeploymentName": given["modelDeploymentName"],
            "modelArn": given["modelArn"],
            "createdAt": now(),
            "lastUpdatedAt": now(),
            "active_at": time.monotonic() + self.deploy_seconds,
        }
        return {"customModelDeploymentArn": arn}

    def on_GetCustomModelDeployment(self, given: Json) -> Json:
        found = self._deployment(given)
        status = "Active" if time.monotonic() >= found["active_at"] else "Creating"
        status = "Failed" if "failureMessage" in found else status
        return {**{name: value for name, value in found.items() if name not in _INNER}, "status": status}

    def on_UpdateCustomModelDeployment(self, given: Json) -> Json:
        found = self._deployment(given)
        if given["modelArn"] not in self.models:
            raise Refused(404, f"No custom model {given['modelArn']}.", code="ResourceNotFoundException")
        found["updateDetails"] = {"modelArn": given["modelArn"], "updateStatus": "Updating"}
        found["updated_at"] = time.monotonic() + self.update_seconds
        return {"customModelDeploymentArn": found["customModelDeploymentArn"]}

    def on_DeleteCustomModelDeployment(self, given: Json) -> Json:
        del self.deployments[self._deployment(given)["customModelDeploymentArn"]]
        return {}

    def _deployment(self, given: Json) -> Json:
        wanted = given["customModelDeploymentIdentifier"]
        for found in self.deployments.values():
            if wanted in (found["customModelDeploymentArn"], found["modelDeploymentName"]):
                self._update(found)
                return found
        raise Refused(404, f"No custom model deployment {wanted}.", code="ResourceNotFoundException")

    def _update(self, found: Json) -> None:
        if found.get("updated_at", float("inf")) <= time.monotonic():
            del found["updated_at"]
            details = found["updateDetails"]
            details["updateStatus"] = "UpdateFailed" if self.fails_to_update else "UpdateCompleted"
            found["modelArn"] = found["modelArn"] if self.fails_to_update else details["modelArn"]

    # Runtime

    def on_Converse(self, given: Json) -> Json:
        name = given["modelId"]
        if name == BASE:
            return conversed(given, None)
        found = self.deployments.get(name)
        if found is None:
            raise Refused(400, "The provided model identifier is invalid.", code="ValidationException")
        self._update(found)
        if time.monotonic() < found["active_at"]:
            raise Refused(429, "The model is not ready.", code="ModelNotReadyException")
        return conversed(given, self.models[found["modelArn"]][1])

    def on_InvokeModel(self, given: Json) -> Answer:
        if given["modelId"] != EMBEDDING:
            raise Refused(400, "The provided model identifier is invalid.", code="ValidationException")
        return Answer(200, embedded(given["body"]))


def running(**options: Any) -> AbstractContextManager[BedrockEmulator]:
    """A running emulator with these options of :class:`BedrockEmulator`."""
    return started(BedrockEmulator(**options))

"""bedrock-mantle on loopback: what AWS documents of OpenAI's protocol for open-weight models, and nothing else.

Everything beside it is refused: suffix, metadata, seed and validation file of a job, OpenAI's graders, pause, resume,
result files, file contents, other models and regions. The grader is a Lambda function in an emulated account
(``aws``), and its published zip really runs. Sources: the Bedrock user guide's pages on OpenAI-compatible fine-tuning
and AWS's samples. Ids of models and checkpoints are not documented: they are marked ``-sim-`` here.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

from rft_project.platforms import aws_policies as printed

from .aws_iam import Need, allows
from .bedrock import ACCOUNT, BedrockEmulator
from .bedrock_jobs import GraderFailed, check_row, graded
from .faults import Fault
from .finetuning import FineTuningEmulator
from .metrics import mean
from .policy import Policy, replies_for
from .sampling import completion
from .training import RATE, Grade, Lesson, Settings, Step
from .wire import Json, Refused, Request, found, now, only, started

__all__ = ["QWEN", "TRAINABLE", "Fault", "MantleEmulator", "running"]

TRAINABLE = "openai.gpt-oss-20b"
QWEN = "qwen.qwen3-32b"
REGION = "us-west-2"
SAMPLES = 4
EVERY = 4


class MantleEmulator(FineTuningEmulator):
    """``credentials`` are a connection's. ``aws`` keeps and runs the graders' functions, at ``aws_port`` and for
    ``aws_key``. ``policy``: what the key's owner may do, as we print it; ``needed``: the actions that were needed."""

    prefix = "/v1"
    trainable: ClassVar[tuple[str, ...]] = (TRAINABLE, QWEN)
    job_fields: ClassVar[frozenset[str]] = frozenset({"model", "training_file", "method"})
    least_rows: ClassVar[int] = 100
    aws_emulator: ClassVar[type[BedrockEmulator]] = BedrockEmulator

    def __init__(self, **options: Any) -> None:
        account = {
            "port": options.pop("aws_port", 0),
            **({"key": options.pop("aws_key")} if "aws_key" in options else {}),
        }
        super().__init__(key=options.pop("key", f"bedrock-api-key-{uuid.uuid4().hex}"), **options)
        self.aws = self.aws_emulator(region=REGION, **account)
        account = self.aws.account
        roles = {"grader_role": account.grader_role, "judge_role": account.judge_role}
        place = printed.Place(account=ACCOUNT, region=REGION, **roles)
        self.aws.policies[self.aws.key] = printed.publisher_policy(place)
        self.policy = printed.key_policy(place)
        self.needed: set[str] = set()
        self.aws.thread.start()
        for name in self.trainable:
            self.models[name] = ({"id": name, "object": "model", "created": 1, "owned_by": "system"}, None)

    @property
    def credentials(self) -> Json:
        account = self.aws.credentials
        kept = ("region", "access_key_id", "secret_access_key", "grader_role_arn", "judge_role_arn", "endpoint_url")
        return {"api_key": self.key, "base_url": self.url, **{name: account[name] for name in kept}}

    def stop(self) -> None:
        super().stop()
        self.aws.stop()

    def limited(self, request: Request) -> int | None:
        return len(request.content) // 4 if request.parts[0] == "chat" else None

    def authorize(self, request: Request) -> None:
        super().authorize(request)
        self._allow("CallWithBearerToken")
        kind, *rest = [part for part in request.parts if part != "fine_tuning"]
        action = _ACTIONS.get((request.method, kind, len(rest) if rest[1:] != ["cancel"] else "cancel"))
        if action is not None:
            self._allow(action)

    def _allow(self, action: str, resource: str = "*", service: str = "bedrock-mantle") -> None:
        """Raises Refused where the key's owner may not do this."""
        self.needed.add(f"{service}:{action}")
        if not allows(self.policy, Need(f"{service}:{action}", resource)):
            raise Refused(403, f"The key's owner is not authorized to perform: {service}:{action}")

    def route(self, request: Request) -> Any:
        match request.method, request.parts:
            case "GET", ["models"]:
                return {"object": "list", "data": [about for about, _ in self.models.values()]}
            case "GET", ["models", name]:
                return found(self.models, name, "model")[0]
            case "POST", ["chat", "completions"]:
                return self.chat(request.json())
            case "GET", ["files", _, "content"]:
                raise Refused(404, "The contents of files can't be read back.")
            case "POST", ["fine_tuning", "jobs", _, ("pause" | "resume") as verb]:
                raise Refused(404, f"Jobs can't be asked to {verb}.")
        if request.method == "GET" and request.parts == ["fine_tuning", "jobs"] and set(request.query) - _PAGING:
            raise Refused(400, "Jobs are listed with limit and after only.")
        return super().route(request)

    def chat(self, body: Json) -> Json:
        if body.get("model") not in self.models:
            raise Refused(404, f"The model `{body.get('model')}` does not exist.", code="model_not_found")
        only(body, {"model", "messages", "n", "temperature", "max_completion_tokens", "tools", "response_format"})
        return completion(body, self.models[body["model"]][1], reasoning=False)

    def create_job(self, body: Json) -> Json:
        only(body, set(self.job_fields))
        if body.get("model") not in self.trainable:
            raise Refused(400, f"Model {body.get('model')} is not available for fine-tuning.", param="model")
        rows = self.rows(body.get("training_file"), 20_000, "training_file")
        method = self.checked_method(body)
        job = {
            "id": f"ftjob-sim-{uuid.uuid4().hex[:18]}", "object": "fine_tuning.job", "created_at": now(),
            "finished_at": None, "model": body["model"], "fine_tuned_model": None, "status": "validating_files",
            "error": None, "training_file": body["training_file"], "method": body["method"], "lag": self.list_lag,
        }  # fmt: skip
        lesson = Lesson(Policy(replies_for(rows, None)), rows, [], _settings(method, len(rows)), 0)
        self._begin(job, lesson)
        return job

    def rows(self, file_id: Any, most: int, param: str) -> list[Json]:
        if file_id not in self.files:
            raise Refused(400, f"invalid {param}: {file_id}", param=param, code="invalid_file")
        lines = self.files[file_id][1].decode().splitlines()
        if not self.least_rows <= len(lines) <= most:
            allowed = f"{self.least_rows} to {most} are allowed"
            raise Refused(400, f"{param} has {len(lines)} rows; {allowed}.", param=param)
        rows = [json.loads(line) for line in lines]
        for number, row in enumerate(rows, 1):
            check_row(row, number)
        return rows

    def checked_method(self, body: Json) -> Json:
        method = body.get("method")
        inner = method.get("reinforcement") if isinstance(method, dict) else None
        if not isinstance(inner, dict) or method.get("type") != "reinforcement":  # type: ignore[union-attr]
            raise Refused(400, "'method' must be of type reinforcement.", param="method")
        only(inner, {"grader", "hyperparameters"}, "method.reinforcement.")
        grader = inner.get("grader") or {}
        if set(grader) != {"type", "lambda"} or grader["type"] != "lambda" or set(grader["lambda"]) != {"function"}:
            raise Refused(400, "Only graders of type lambda are supported.", param="method.reinforcement.grader")
        arn = str(grader["lambda"]["function"])
        if f":lambda:{REGION}:" not in arn or self.aws.account.function(arn) is None:
            raise Refused(400, f"The function {arn} does not exist in {REGION}.", param="method.reinforcement.grader")
        self._allow("InvokeFunction", arn, "lambda")
        given = inner.get("hyperparameters") or {}
        only(given, {"n_epochs", "batch_size", "learning_rate_multiplier"}, "hyperparameters.")
        for name, value in given.items():
            whole = name == "learning_rate_multiplier" or (isinstance(value, int) and value >= 1)
            if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0 or not whole:
                raise Refused(400, f"Invalid hyperparameter {name}: {value!r}.", param=f"hyperparameters.{name}")
        return inner

    @contextmanager
    def grading(self, job: Json) -> Iterator[tuple[Grade, dict[str, Json]]]:
        arn = job["method"]["reinforcement"]["grader"]["lambda"]["function"]
        yield lambda pairs: graded(pairs, lambda event: self.aws.run(arn, event)), {}

    def tuned_name(self, job: Json, ending: str = "") -> str:
        return f"{job['model']}:ft-sim-{job['id'].removeprefix('ftjob-sim-')[:8]}{ending}"

    def _live(self, job: Json) -> None:
        try:
            super()._live(job)
        except GraderFailed as failure:
            with self.lock:
                error = {"code": "grader_error", "message": str(failure), "param": None}
                self._end(job, "failed", str(failure), error=error)

    def _account(self, job: Json, lesson: Lesson, step: Step, graders: dict[str, Json]) -> None:
        reward = mean(step.train)
        data = {
            "step": step.number, "total_steps": step.total, "critic_rewards_mean": reward, "actor_pg_loss": -0.01,
            "actor_entropy": 0.9, "actor_grad_norm": 0.1, "critic_advantages_mean": 0.0,
            "response_length_mean": sum(len(reply.text) // 4 + 1 for reply in step.replies) / len(step.replies),
        }  # fmt: skip
        with self.lock:
            if job["status"] != "running":
                return
            self.tell(job, f"Step {step.number}/{step.total}: training metrics", data)
            if step.number % EVERY == 0 or lesson.done:
                self.checkpoints[job["id"]].append({
                    "id": f"ftckpt-sim-{uuid.uuid4().hex[:16]}", "object": "fine_tuning.job.checkpoint",
                    "created_at": now(), "fine_tuning_job_id": job["id"], "step_number": step.number,
                    "fine_tuned_model_checkpoint": self._serve(job, lesson.policy, f":ckpt-step-{step.number}"),
                    "metrics": {"step": step.number, "critic_rewards_mean": reward},
                })  # fmt: skip

    def _succeed(self, job: Json, model: str) -> None:
        job["fine_tuned_model"] = model
        self._end(job, "succeeded", "The job has successfully completed")


_PAGING = {"limit", "after"}
#: The action of a request: verb, what it is about, and pieces of the path behind that. AWS names none for reading a
#: job's events and checkpoints: it is taken to be that of reading the job.
_ACTIONS: dict[tuple[str, str, int | str], str] = {
    ("POST", "files", 0): "CreateFile",
    ("GET", "files", 0): "ListFiles",
    ("GET", "files", 1): "GetFile",
    ("DELETE", "files", 1): "DeleteFile",
    ("POST", "jobs", 0): "CreateFineTuningJob",
    ("GET", "jobs", 0): "ListFineTuningJobs",
    ("GET", "jobs", 1): "GetFineTuningJob",
    ("GET", "jobs", 2): "GetFineTuningJob",
    ("POST", "jobs", "cancel"): "CancelFineTuningJob",
    ("GET", "models", 0): "ListModels",
    ("GET", "models", 1): "GetModel",
    ("POST", "chat", 1): "CreateInference",
}


def _settings(method: Json, rows: int) -> Settings:
    """AWS's pages name no defaults: where nothing is said these are the emulator's."""
    given = method.get("hyperparameters") or {}
    batch = min(int(given.get("batch_size", 32)), rows)
    return Settings(
        batch=batch,
        steps=-(-rows // batch) * int(given.get("n_epochs", 2)),
        every=10**9,
        samples=SAMPLES,
        valid_samples=1,
        rate=RATE * float(given.get("learning_rate_multiplier", 1.0)),
    )


def running(**options: Any) -> AbstractContextManager[MantleEmulator]:
    """A running emulator with these options of :class:`MantleEmulator`."""
    return started(MantleEmulator(**options))

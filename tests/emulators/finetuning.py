"""OpenAI's files and fine-tuning jobs on loopback. Platforms that speak the same subclass and say what differs.

A job's life: validating_files, queued, running step by step, paused and resumed, succeeded, failed or cancelled. Its
events, checkpoints and result file have every key the service documents. Sources: the ``openai`` 3.54.0 package and
the guide to reinforcement fine-tuning. ``usage_metrics`` is documented by name only: its shape here is a guess.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from graders_app.core.evaluate import Judge, JudgeAnswer, open_grader
from rft_project.platforms.types import Usage

from .checks import check_extras, check_grader, check_overlap, checked_method, checked_rows
from .metrics import event_data, mean, message_of, result_file, result_row
from .policy import Policy, replies_for
from .training import Grade, Lesson, Settings, Step
from .wire import Answer, Emulator, Json, Refused, Request, found, now, only, page

TRAINABLE = "o4-mini-2025-04-16"
#: Models that may judge, by OpenAI's guide on graders; those past their day are left out.
JUDGES = (
    "gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", "gpt-4.1-2025-04-14", "gpt-4.1-mini-2025-04-14", "o3",
)  # fmt: skip
#: What an organization that may not train any more is told.
CLOSED = (
    "OpenAI is winding down the fine-tuning platform and your organization is no longer able to create new fine-tuning "
    "training jobs"
)
_FINAL = ("succeeded", "failed", "cancelled")
_CATEGORIES = ("harassment/threatening", "hate", "self-harm/instructions", "sexual/minors", "illicit/violent")


def lenient_judge(questions: Any) -> list[JudgeAnswer]:
    """The judge inside the emulator: how many of the prompt's quoted lines agree. Deterministic, so curves are earned.

    A judge prompt of a test says ``gold: …`` and ``got: …`` on lines of their own; equal lines score 1, else 0.
    """
    answers = []
    for question in questions:
        text = "\n".join(str(message.get("content")) for message in question.messages)
        gold, got = (re.search(rf"^{name}: *(.*)$", text, re.M) for name in ("gold", "got"))
        score = float(bool(gold and got and gold[1].strip() == got[1].strip()))
        answers.append(JudgeAnswer(f'{{"steps": [], "result": {score}}}', Usage(prompt_tokens=20, completion_tokens=5)))
    return answers


class FineTuningEmulator(Emulator):
    """``jobs``, ``files``, ``events``, ``checkpoints`` and ``models`` are what it holds, by id.

    ``closed``: the organization may not start jobs. ``fails_at``: the step at which a job fails inside.
    ``encoded_results``: result files in base64. ``list_lag``: jobs are left out of the first so many lists.
    """

    trainable: ClassVar[tuple[str, ...]] = (TRAINABLE,)
    job_fields: ClassVar[frozenset[str]] = frozenset({
        "model", "training_file", "validation_file", "method", "suffix", "seed", "metadata", "integrations",
    })  # fmt: skip
    least_rows: ClassVar[int] = 1
    #: Characters of a job's id behind its beginning.
    digits: ClassVar[int] = 22
    #: Checkpoints that are kept, those with the best validation reward.
    kept: ClassVar[int] = 3

    def __init__(self, *, step_seconds: float = 0.0, queue_seconds: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.step_seconds = step_seconds
        self.queue_seconds = queue_seconds
        self.files: dict[str, tuple[Json, bytes]] = {}
        self.jobs: dict[str, Json] = {}
        self.events: dict[str, list[Json]] = {}
        self.checkpoints: dict[str, list[Json]] = {}
        #: What is listed of each model, and the policy that answers for it (None: an untrained one).
        self.models: dict[str, tuple[Json, Policy | None]] = {}
        self.judge: Judge = lenient_judge
        self.closed = False
        self.fails_at: int | None = None
        self.encoded_results = False
        self.list_lag = 0
        self._lessons: dict[str, Lesson] = {}
        self._rows: dict[str, list[Json]] = {}

    # What platforms override

    def checked_method(self, body: Json) -> Json:
        """The job's ``reinforcement`` object. Raises Refused."""
        inner = checked_method(body.get("method"))
        check_grader(inner.get("grader"))
        self.check_judges(inner["grader"])
        return inner

    def check_judges(self, grader: Json) -> None:
        """Raises Refused where a judge is none of the guide's list."""
        for part in [grader, *(grader.get("graders") or {}).values()]:
            if part["type"] == "score_model" and part["model"] not in JUDGES:
                said = f"Invalid grader: the model {part['model']} is not available for grading."
                raise Refused(400, said, param="method.reinforcement.grader")

    @contextmanager
    def grading(self, job: Json) -> Iterator[tuple[Grade, dict[str, Json]]]:
        """How the job's answers are scored, and its components' documents by name."""
        document = job["method"]["reinforcement"]["grader"]
        with open_grader(document, judge=self.judge) as grader:
            yield grader.grade_many, document.get("graders") or {document["name"]: document}

    def tuned_name(self, job: Json, ending: str = "") -> str:
        short = job["id"].removeprefix("ftjob-")[:8]
        return f"ft:{job['model']}:org:{job['user_provided_suffix'] or ''}:{short}{ending}"

    # The wire

    def route(self, request: Request) -> Any:
        match request.method, request.parts:
            case "POST", ["files"]:
                return self.create_file(request.form())
            case "GET", ["files"]:
                purpose = request.query.get("purpose")
                files = [about for about, _ in self.files.values() if purpose in (None, about["purpose"])]
                return page(files[::-1], request.query, 10_000)
            case "GET", ["files", name]:
                return found(self.files, name, "file")[0]
            case "GET", ["files", name, "content"]:
                return Answer(200, found(self.files, name, "file")[1], {"content-type": "application/octet-stream"})
            case "DELETE", ["files", name]:
                found(self.files, name, "file")
                del self.files[name]
                return {"id": name, "object": "file", "deleted": True}
            case "POST", ["fine_tuning", "jobs"]:
                return self.create_job(request.json())
            case "GET", ["fine_tuning", "jobs"]:
                return page(self._listed(request.query), request.query, 100)
            case method, ["fine_tuning", "jobs", name, *rest]:
                return self._about_job(method, found(self.jobs, name, "fine-tuning job"), rest, request)
        raise Refused(404, f"Invalid URL ({request.method} {request.path})")

    def _about_job(self, method: str, job: Json, rest: list[str], request: Request) -> Any:
        match method, rest:
            case "GET", []:
                return job
            case "POST", ["cancel"]:
                return self.cancel(job)
            case "POST", ["pause"]:
                return self.pause(job)
            case "POST", ["resume"]:
                return self.resume(job)
            case "GET", ["events"]:
                return page(self.events[job["id"]][::-1], request.query, 100)
            case "GET", ["checkpoints"]:
                return page(self.checkpoints[job["id"]][::-1], request.query, 100)
        raise Refused(404, f"Invalid URL ({request.method} {request.path})")

    def _listed(self, query: dict[str, str]) -> list[Json]:
        wanted = {m[1]: value for name, value in query.items() if (m := re.match(r"metadata\[(.+)\]\Z", name))}
        listed = []
        for job in reversed(self.jobs.values()):
            if job["lag"] > 0:
                job["lag"] -= 1
            elif wanted.items() <= (job.get("metadata") or {}).items():
                listed.append(job)
        return listed

    # Files

    def create_file(self, form: dict[str, Any]) -> Json:
        name, content = form.get("file", ("", b""))
        if form.get("purpose") != "fine-tune":
            raise Refused(400, "'purpose' must be fine-tune.", param="purpose")
        if not name.endswith(".jsonl"):
            raise Refused(400, "Invalid file format. The fine-tuning API only supports .jsonl files.", param="file")
        if len(content) > 512 * 1024 * 1024:
            raise Refused(413, "Files can be up to 512 MB.")
        return self._kept(name, content, "fine-tune")

    def _kept(self, name: str, content: bytes, purpose: str) -> Json:
        made = {
            "id": f"file-{uuid.uuid4().hex[:22]}", "object": "file", "bytes": len(content), "created_at": now(),
            "filename": name, "purpose": purpose, "status": "processed",
        }  # fmt: skip
        self.files[made["id"]] = (made, content)
        return made

    def rows(self, file_id: Any, most: int, param: str) -> list[Json]:
        if file_id not in self.files:
            raise Refused(400, f"invalid {param}: {file_id}", param=param, code="invalid_file")
        return checked_rows(self.files[file_id][1], least=self.least_rows, most=most, param=param)

    # Jobs

    def create_job(self, body: Json) -> Json:
        if self.closed:
            raise Refused(403, CLOSED)
        only(body, set(self.job_fields))
        if body.get("model") not in self.trainable:
            raise Refused(400, f"Model {body.get('model')} is not available for fine-tuning.", param="model")
        train = self.rows(body.get("training_file"), 50_000, "training_file")
        valid = self.rows(body.get("validation_file"), 1_000, "validation_file")
        check_overlap(train, valid)
        method = self.checked_method(body)
        check_extras(body)
        job = {
            "id": f"ftjob-{uuid.uuid4().hex[: self.digits]}", "object": "fine_tuning.job", "created_at": now(),
            "finished_at": None, "estimated_finish": None, "model": body["model"], "fine_tuned_model": None,
            "status": "validating_files", "error": None, "organization_id": "org-emulated",
            "training_file": body["training_file"], "validation_file": body["validation_file"], "result_files": [],
            "trained_tokens": None, "seed": body.get("seed") or 0, "hyperparameters": None, "method": body["method"],
            "integrations": body.get("integrations") or [], "metadata": body.get("metadata"),
            "user_provided_suffix": body.get("suffix"), "shared_with_openai": False, "eval_id": None,
            "usage_metrics": {"training_seconds": 0.0, "grader_tokens": 0}, "lag": self.list_lag,
        }  # fmt: skip
        settings = Settings.of(method.get("hyperparameters") or {}, len(train))
        policy = Policy(replies_for(train, _schema(method)))
        self._begin(job, Lesson(policy, train, valid, settings, job["seed"]))
        return job

    def _begin(self, job: Json, lesson: Lesson) -> None:
        self.jobs[job["id"]] = job
        self.events[job["id"]] = []
        self.checkpoints[job["id"]] = []
        self._rows[job["id"]] = []
        self._lessons[job["id"]] = lesson
        self.tell(job, f"Created fine-tuning job: {job['id']}")
        self.tell(job, f"Validating training file: {job['training_file']}")
        threading.Thread(target=self._live, args=(job,), daemon=True).start()

    def tell(self, job: Json, message: str, data: Json | None = None, *, kind: str = "", level: str = "info") -> None:
        with self.lock:
            self.events[job["id"]].append({
                "id": f"ftevent-{uuid.uuid4().hex[:20]}", "object": "fine_tuning.job.event", "created_at": now(),
                "level": level, "message": message, "type": kind or ("metrics" if data else "message"),
                "data": data or {},
            })  # fmt: skip

    def cancel(self, job: Json) -> Json:
        with self.lock:
            if job["status"] in _FINAL:
                raise Refused(400, f"Job has already completed: {job['id']}", code="invalid_state")
            job["status"], job["finished_at"] = "cancelled", now()
            self.tell(job, "The job was cancelled")
            return job

    def pause(self, job: Json) -> Json:
        """The step at work is finished first; then a snapshot is taken and screened."""
        with self.lock:
            if job["status"] != "running" or self._lessons[job["id"]].taken < 1:
                raise Refused(400, "A job can be paused while it runs and after its first step.", code="invalid_state")
            job["status"] = "pausing"
            self.tell(job, "Pausing the job")
            return job

    def resume(self, job: Json) -> Json:
        with self.lock:
            if job["status"] != "paused":
                raise Refused(400, f"Job is not paused: {job['id']}", code="invalid_state")
            job["status"] = "queued"
            self.tell(job, "Resuming the job")
            threading.Thread(target=self._live, args=(job,), daemon=True).start()
            return job

    def _live(self, job: Json) -> None:
        """From the queue to the end, or until it is paused or cancelled."""
        for before, after in (("validating_files", "queued"), ("queued", "running")):
            if self.queue_seconds and self.closing.wait(self.queue_seconds):
                return
            with self.lock:
                if job["status"] == before:
                    job["status"] = after
                    self.tell(job, f"Job is {after}")
        lesson = self._lessons[job["id"]]
        with self.grading(job) as (grade, graders):
            while not lesson.done:
                if self.closing.wait(self.step_seconds):
                    return
                with self.lock:
                    if not self._goes_on(job, lesson):
                        return
                step = lesson.step(grade)
                self._account(job, lesson, step, graders)
        with self.lock:
            if job["status"] in ("running", "pausing"):
                self._succeed(job, self._serve(job, lesson.policy))

    def _goes_on(self, job: Json, lesson: Lesson) -> bool:
        if job["status"] == "pausing":
            self._checkpoint(job, lesson, None)
            self._screen(job)
            job["status"] = "paused"
            self.tell(job, "The job is paused; the model of its last step can be used")
        elif job["status"] == "running" and self.fails_at is not None and lesson.taken + 1 == self.fails_at:
            self._fail(job)
        return job["status"] == "running"

    def _account(self, job: Json, lesson: Lesson, step: Step, graders: dict[str, Json]) -> None:
        data = event_data(step, graders)
        with self.lock:
            if job["status"] not in ("running", "pausing"):
                return
            self.tell(job, message_of(step), data)
            self._rows[job["id"]].append(result_row(step, data))
            used = [usage for result in step.train for usage in result.usage.values()]
            tokens = sum(usage.prompt_tokens + usage.completion_tokens for usage in used)
            job["usage_metrics"]["training_seconds"] += step.sampling + step.training
            job["usage_metrics"]["grader_tokens"] += tokens
            if step.valid is not None:
                self._checkpoint(job, lesson, step)
            if all(result.reward is None for result in step.train):
                errors = {issue.message for result in step.train for issue in result.errors}
                said = f"The grader failed on every answer of a step: {'; '.join(sorted(errors)[:3])}"
                self._end(job, "failed", said, error={"code": "grader_error", "message": said, "param": "grader"})

    def _checkpoint(self, job: Json, lesson: Lesson, step: Step | None) -> None:
        """After a validation step, or where a job was paused."""
        number = lesson.taken
        kept = self.checkpoints[job["id"]]
        if any(checkpoint["step_number"] == number for checkpoint in kept):
            return
        row = self._rows[job["id"]][-1]
        reward = mean(step.valid) if step is not None and step.valid is not None else None
        kept.append({
            "id": f"ftckpt_{uuid.uuid4().hex[:20]}", "object": "fine_tuning.job.checkpoint", "created_at": now(),
            "fine_tuned_model_checkpoint": self._serve(job, lesson.policy, f":ckpt-step-{number}"),
            "fine_tuning_job_id": job["id"], "step_number": number,
            "metrics": {
                "step": number, "train_mean_reward": row["train_mean_reward"], "full_valid_mean_reward": reward,
                "completion_tokens_mean": row["completion_tokens_mean"],
                "reasoning_tokens_mean": row["reasoning_tokens_mean"],
            },
        })  # fmt: skip
        best = sorted(kept, key=lambda c: (c["metrics"]["full_valid_mean_reward"] or 0.0, c["step_number"]))
        self.checkpoints[job["id"]] = [checkpoint for checkpoint in kept if checkpoint in best[-self.kept :]]

    def _serve(self, job: Json, policy: Policy, ending: str = "") -> str:
        name = self.tuned_name(job, ending)
        about = {"id": name, "object": "model", "created": now(), "owned_by": "org-emulated", "shutdown_date": None}
        self.models[name] = (about, policy.copy())
        return name

    def _screen(self, job: Json) -> None:
        results = [{"category": name, "flagged": False, "enforcement": "blocking"} for name in _CATEGORIES]
        told = {"blocked": False, "results": results}
        self.tell(job, "Moderation checks of the model passed", told, kind="moderation_checks")

    def _succeed(self, job: Json, model: str) -> None:
        self._screen(job)
        job["fine_tuned_model"] = model
        content = result_file(self._rows[job["id"]], encoded=self.encoded_results)
        job["result_files"] = [self._kept("step_metrics.csv", content, "fine-tune-results")["id"]]
        self._end(job, "succeeded", "The job has successfully completed")

    def _fail(self, job: Json) -> None:
        """A failure inside the service: with a checkpoint the job still succeeds."""
        kept = self.checkpoints[job["id"]]
        if kept:
            self._succeed(job, kept[-1]["fine_tuned_model_checkpoint"])
            return
        said = "The job failed due to an internal error."
        self._end(job, "failed", said, error={"code": "server_error", "message": said, "param": None})

    def _end(self, job: Json, status: str, message: str, error: Json | None = None) -> None:
        job["finished_at"], job["error"] = now(), error
        self.tell(job, message, level="error" if error else "info")
        job["status"] = status


def _schema(method: Json) -> Json | None:
    given = method.get("response_format") or {}
    return given["json_schema"]["schema"] if given.get("type") == "json_schema" else None

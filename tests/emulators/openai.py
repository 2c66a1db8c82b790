"""A loopback server that speaks OpenAI's fine-tuning, files, chat, embeddings and models API.

Stricter than the service: what breaks a published limit or shape is refused with a sentence that says so. It runs the
grader it is given on a small softmax policy that really learns, so rewards are earned. Faults are injected per request.
Sources: the ``openai`` 3.54.0 package (types and resources) and OpenAI's published API description.
"""

from __future__ import annotations

import json
import math
import random
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from graders_app.core.evaluate import Grader, GraderError, make_sample, open_grader

Json = dict[str, Any]

TRAINABLE = "o4-mini-2025-04-16"
CHAT = "gpt-4.1-mini-2025-04-14"
EMBEDDING = "text-embedding-3-small"
STEPS = 12
SAMPLES = 8
EVERY = 4  # steps between two validations

_HYPERPARAMETERS = {
    "batch_size": (int, 1, 256),
    "learning_rate_multiplier": (float, 0, math.inf),
    "n_epochs": (int, 1, 50),
    "compute_multiplier": (float, 0.00001, 10),
    "eval_interval": (int, 1, math.inf),
    "eval_samples": (int, 1, math.inf),
}
_JOB_FIELDS = {"model", "training_file", "validation_file", "method", "suffix", "seed", "metadata", "integrations"}
_CHAT_FIELDS = {
    "model", "messages", "n", "temperature", "max_tokens", "max_completion_tokens", "seed", "tools", "response_format",
    "stop", "top_p", "stream",
}  # fmt: skip


_HEADERS = {"content-type": "application/json", "x-request-id": "req_1", "set-cookie": "__cf_bm=1; path=/"}


class Refused(Exception):
    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "error": {"message": message, "type": "invalid_request_error", "param": param, "code": code},
        }


@dataclass
class Fault:
    """What goes wrong with the next request whose method and path begin like this.

    ``kind``: a status number; "500-after" and "drop-after" do the work first; "drop", "broken-json" (after the work),
    "hang" (after the work, for ``seconds``), "redirect". ``skip``: requests that still go well.
    """

    method: str
    path: str
    kind: str | int
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "An error was injected."
    code: str | None = None
    seconds: float = 5.0
    skip: int = 0


@dataclass
class Policy:
    """Softmax over candidate answers on the words of the prompt."""

    answers: list[str]
    weights: dict[tuple[str, str], float] = field(default_factory=dict)

    def chances(self, words: list[str]) -> list[float]:
        scores = [sum(self.weights.get((word, answer), 0.0) for word in words) for answer in self.answers]
        top = max(scores)
        powers = [math.exp(score - top) for score in scores]
        return [power / sum(powers) for power in powers]

    def best(self, words: list[str]) -> str:
        chances = self.chances(words)
        return self.answers[chances.index(max(chances))]

    def learn(self, words: list[str], chosen: list[int], rewards: list[float]) -> None:
        mean, chances = sum(rewards) / len(rewards), self.chances(words)
        for place, reward in zip(chosen, rewards, strict=True):
            for index, answer in enumerate(self.answers):
                pull = 0.5 * (reward - mean) * ((index == place) - chances[index])
                for word in words:
                    self.weights[word, answer] = self.weights.get((word, answer), 0.0) + pull


def words_of(messages: list[Json]) -> list[str]:
    last = [m["content"] for m in messages if m["role"] == "user"][-1]
    text = last if isinstance(last, str) else " ".join(part.get("text", "") for part in last)
    return [*sorted(set(re.findall(r"\w+", text.lower()))), "the bias"]


class OpenAIEmulator:
    """``url`` and ``key`` are the credentials. ``faults`` are used up in order; ``requests`` is what was asked."""

    def __init__(self, *, step_seconds: float = 0.0) -> None:
        self.key = f"sk-emulated-{uuid.uuid4().hex}"
        self.step_seconds = step_seconds
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        #: Headers of the requests, names in lower case.
        self.headers: list[dict[str, str]] = []
        self.problems: list[str] = []
        self.files: dict[str, tuple[Json, bytes]] = {}
        self.jobs: dict[str, Json] = {}
        self.events: dict[str, list[Json]] = {}
        self.checkpoints: dict[str, list[Json]] = {}
        self.models: dict[str, tuple[Json, Policy | None]] = {}
        #: Jobs are left out of lists for the first so many lists after they are made.
        self.list_lag = 0
        self.lock = threading.RLock()
        self.closing = threading.Event()
        shutdown = {TRAINABLE: "2099-01-01"}
        for name in (TRAINABLE, CHAT, EMBEDDING):
            about = {"id": name, "object": "model", "created": 1, "owned_by": "system"}
            self.models[name] = ({**about, "shutdown_date": shutdown.get(name)}, None)
        emulator = self

        class Handler(_Handler):
            pass

        Handler.emulator = emulator
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    @property
    def credentials(self) -> Json:
        return {"base_url": self.url, "api_key": self.key}

    def count(self, method: str, path: str) -> int:
        return sum(1 for request in self.requests if request == (method, path))

    # Files

    def create_file(self, form: dict[str, Any]) -> Json:
        name, content = form.get("file", ("", b""))
        if form.get("purpose") != "fine-tune":
            raise Refused(400, "'purpose' must be fine-tune.", param="purpose")
        if not name.endswith(".jsonl"):
            raise Refused(400, "Invalid file format. The fine-tuning API only supports .jsonl files.", param="file")
        if len(content) > 512 * 1024 * 1024:
            raise Refused(413, "Files can be up to 512 MB.")
        made = {
            "id": f"file-{uuid.uuid4().hex[:22]}", "object": "file", "bytes": len(content), "created_at": _now(),
            "filename": name, "purpose": "fine-tune", "status": "processed",
        }  # fmt: skip
        self.files[made["id"]] = (made, content)
        return made

    def rows(self, file_id: Any, most: int, param: str) -> list[Json]:
        if file_id not in self.files:
            raise Refused(400, f"invalid {param}: {file_id}", param=param, code="invalid_file")
        lines = self.files[file_id][1].decode().splitlines()
        if not 1 <= len(lines) <= most:
            raise Refused(400, f"{param} has {len(lines)} rows; 1 to {most} are allowed.", param=param)
        return [_checked_row(json.loads(line), number) for number, line in enumerate(lines, 1)]

    # Jobs

    def create_job(self, body: Json) -> Json:
        unknown = sorted(set(body) - _JOB_FIELDS)
        if unknown:
            raise Refused(400, f"Unknown parameter: '{unknown[0]}'.", param=unknown[0], code="unknown_parameter")
        if body.get("model") != TRAINABLE:
            raise Refused(400, f"Model {body.get('model')} is not available for fine-tuning.", param="model")
        train = self.rows(body.get("training_file"), 50_000, "training_file")
        valid = self.rows(body.get("validation_file"), 1_000, "validation_file")
        both = {json.dumps(row, sort_keys=True) for row in train} & {json.dumps(row, sort_keys=True) for row in valid}
        if both:
            raise Refused(400, "A row is in both the training and the validation file.")
        method = _checked_method(body.get("method"))
        _check_job_extras(body)
        job = {
            "id": f"ftjob-{uuid.uuid4().hex[:22]}", "object": "fine_tuning.job", "created_at": _now(),
            "finished_at": None, "model": body["model"], "fine_tuned_model": None, "status": "validating_files",
            "error": None, "organization_id": "org-emulated", "training_file": body["training_file"],
            "validation_file": body["validation_file"], "result_files": [], "trained_tokens": None,
            "seed": body.get("seed") or 0, "hyperparameters": None, "method": body["method"], "integrations": [],
            "metadata": body.get("metadata"), "user_provided_suffix": body.get("suffix"), "lag": self.list_lag,
        }  # fmt: skip
        self.jobs[job["id"]] = job
        self.events[job["id"]] = []
        self.checkpoints[job["id"]] = []
        self.tell(job, f"Created fine-tuning job: {job['id']}")
        threading.Thread(target=self._train, args=(job, method, train, valid), daemon=True).start()
        return job

    def tell(self, job: Json, message: str, data: Json | None = None, level: str = "info") -> None:
        with self.lock:
            self.events[job["id"]].append({
                "id": f"ftevent-{uuid.uuid4().hex[:20]}", "object": "fine_tuning.job.event", "created_at": _now(),
                "level": level, "message": message, "type": "metrics" if data else "message", "data": data or {},
            })  # fmt: skip

    def _train(self, job: Json, method: Json, train: list[Json], valid: list[Json]) -> None:
        answers = sorted({v for row in train for k, v in row.items() if k not in ("messages", "tools") and _short(v)})
        policy, dice = Policy(["I am not sure.", *answers]), random.Random(job["seed"])
        with open_grader(method["grader"]) as grader:
            job["status"] = "running"
            for step in range(1, STEPS + 1):
                if self.closing.wait(self.step_seconds) or job["status"] != "running":
                    return
                self._step(job, grader, policy, dice, step, train, valid)
        with self.lock:
            if job["status"] != "running":
                return
            job["fine_tuned_model"] = self._serve(job, policy, "")
            job["finished_at"] = _now()
            self.tell(job, "The job has successfully completed")
            job["status"] = "succeeded"

    def _step(
        self, job: Json, grader: Grader, policy: Policy, dice: random.Random, step: int, train: list, valid: list
    ) -> None:
        results = []
        for row in train:
            words = words_of(row["messages"])
            chosen = dice.choices(range(len(policy.answers)), policy.chances(words), k=SAMPLES)
            graded = grader.grade_many([(make_sample(policy.answers[i]), row) for i in chosen])
            policy.learn(words, chosen, [result.reward or 0.0 for result in graded])
            results += graded
        scores: Json = {"train_reward_mean": _mean(results), "graders": _components(grader, results)}
        message = f"Step {step}/{STEPS} , train mean reward={scores['train_reward_mean']:.4f}"
        if step % EVERY == 0:
            found = [grader.grade(make_sample(policy.best(words_of(row["messages"]))), row) for row in valid]
            scores["valid_reward_mean"] = _mean(found)
            message += f", full validation mean reward={scores['valid_reward_mean']:.4f}"
            self._checkpoint(job, policy, step, scores)
        errors = sum(1 for result in results if result.reward is None)
        data = {
            "step": step, "total_steps": STEPS, "scores": scores, "timing": {"step": {"full_iteration": 0.01}},
            "usage": {"samples": {"train_reasoning_tokens_mean": 10.0}},
            "errors": {"graders": [{"name": "total", "train_other_error_count": errors}]},
        }  # fmt: skip
        self.tell(job, message, data)

    def _checkpoint(self, job: Json, policy: Policy, step: int, scores: Json) -> None:
        with self.lock:
            self.checkpoints[job["id"]].append({
                "id": f"ftckpt_{uuid.uuid4().hex[:20]}", "object": "fine_tuning.job.checkpoint", "created_at": _now(),
                "fine_tuned_model_checkpoint": self._serve(job, policy, f":ckpt-step-{step}"),
                "fine_tuning_job_id": job["id"], "step_number": step,
                "metrics": {
                    "step": step, "train_mean_reward": scores["train_reward_mean"],
                    "full_valid_mean_reward": scores["valid_reward_mean"],
                },
            })  # fmt: skip

    def _serve(self, job: Json, policy: Policy, ending: str) -> str:
        short = job["id"].removeprefix("ftjob-")[:8]
        name = f"ft:{job['model']}:org:{job['user_provided_suffix'] or ''}:{short}{ending}"
        about = {"id": name, "object": "model", "created": _now(), "owned_by": "org-emulated", "shutdown_date": None}
        self.models[name] = (about, Policy(policy.answers, dict(policy.weights)))
        return name

    def cancel(self, job: Json) -> Json:
        with self.lock:
            if job["status"] in ("succeeded", "failed", "cancelled"):
                raise Refused(400, f"Job has already completed: {job['id']}", code="invalid_state")
            job["status"], job["finished_at"] = "cancelled", _now()
            self.tell(job, "The job was cancelled")
            return job

    # Sampling

    def chat(self, body: Json) -> Json:
        unknown = sorted(set(body) - _CHAT_FIELDS)
        if unknown:
            raise Refused(400, f"Unknown parameter: '{unknown[0]}'.", param=unknown[0], code="unknown_parameter")
        model, n = body.get("model"), body.get("n", 1)
        if model not in self.models or model == EMBEDDING:
            raise Refused(
                404, f"The model `{model}` does not exist or you do not have access to it.", code="model_not_found"
            )
        if model.removeprefix("ft:").startswith("o4"):
            for name in ("temperature", "max_tokens"):
                if name in body:
                    raise Refused(400, f"Unsupported parameter: '{name}' is not supported with this model.", param=name)
            if n != 1:
                raise Refused(400, "Unsupported value: 'n' must be 1 with this model.", param="n")
        for number, message in enumerate(body.get("messages") or [{}], 1):
            if message.get("role") not in ("developer", "system", "user", "assistant", "tool"):
                raise Refused(400, f"messages[{number - 1}].role is not valid.", param="messages")
        policy = self.models[model][1] or Policy(["I am not sure."])
        words = words_of(body["messages"])
        chances = policy.chances(words)
        greedy = body.get("temperature") == 0
        texts = [policy.best(words) if greedy else random.choices(policy.answers, chances)[0] for _ in range(n)]
        choices = [
            {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": text}, "logprobs": None}
            for i, text in enumerate(texts)
        ]
        used = {"prompt_tokens": len(words), "completion_tokens": n, "total_tokens": len(words) + n}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": _now(), "model": model}
        return {**head, "choices": choices, "usage": used}

    def embeddings(self, body: Json) -> Json:
        texts = body.get("input")
        if body.get("model") != EMBEDDING:
            raise Refused(404, f"The model `{body.get('model')}` does not exist.", code="model_not_found")
        if (
            not isinstance(texts, list)
            or not 1 <= len(texts) <= 2048
            or not all(isinstance(t, str) and t for t in texts)
        ):
            raise Refused(400, "'input' must be 1 to 2048 texts, none of them empty.", param="input")
        if sum(len(text) for text in texts) > 300_000 or max(len(text) for text in texts) > 8192 * 4:
            raise Refused(400, "Requested too many tokens.", param="input")
        data = [
            {"object": "embedding", "index": i, "embedding": [1.0 / (1 + len(text)), float(len(set(text))), 1.0]}
            for i, text in enumerate(texts)
        ]
        # Out of order, which the API does not forbid.
        return {
            "object": "list",
            "model": EMBEDDING,
            "data": data[::-1],
            "usage": {"prompt_tokens": 1, "total_tokens": 1},
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    emulator: OpenAIEmulator

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle_any(self) -> None:
        url = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = unquote(url.path.removeprefix("/v1"))
        with self.emulator.lock:
            self.emulator.requests.append((self.command, path))
            self.emulator.headers.append({name.lower(): value for name, value in self.headers.items()})
            fault = self._fault(path)
        kind = fault.kind if fault else ""
        if kind == "drop":
            return self._drop()
        if kind == "redirect":
            return self._send(307, {}, {"location": fault.headers["location"]})
        if isinstance(kind, int):
            error = {"message": fault.message, "type": "error", "param": None, "code": fault.code}
            return self._send(kind, {"error": error}, fault.headers)
        status, body = self._answer(path, dict(parse_qsl(url.query, keep_blank_values=True)), content)
        if kind == "drop-after":
            return self._drop()
        if kind == "500-after":
            return self._send(500, {"error": {"message": "The server had an error.", "code": None}}, {})
        if kind == "hang":
            self.emulator.closing.wait(fault.seconds)
        if kind == "broken-json":
            return self._send(200, b'{"id": "ftjob-', {})
        return self._send(status, body, {})

    do_GET = do_POST = do_DELETE = handle_any

    def _fault(self, path: str) -> Fault | None:
        for fault in self.emulator.faults:
            if fault.method == self.command and path.startswith(fault.path):
                if fault.skip > 0:
                    fault.skip -= 1
                    return None
                self.emulator.faults.remove(fault)
                return fault
        return None

    def _answer(self, path: str, query: dict[str, str], content: bytes) -> tuple[int, Any]:
        try:
            if self.headers.get("authorization") != f"Bearer {self.emulator.key}":
                given = self.headers.get("authorization", "").removeprefix("Bearer ")
                raise Refused(401, f"Incorrect API key provided: {given}.", code="invalid_api_key")
            with self.emulator.lock:
                return 200, self._route(path, query, content)
        except Refused as refusal:
            self.emulator.problems.append(refusal.body["error"]["message"])
            return refusal.status, refusal.body

    def _route(self, path: str, query: dict[str, str], content: bytes) -> Any:
        emulator, parts = self.emulator, path.strip("/").split("/")
        match self.command, parts:
            case "GET", ["models"]:
                return {"object": "list", "data": [about for about, _ in emulator.models.values()]}
            case "GET", ["models", name]:
                return _found(emulator.models, name, "model")[0]
            case "POST", ["files"]:
                return emulator.create_file(_form(self.headers["content-type"], content))
            case "GET", ["files"]:
                return _page([about for about, _ in emulator.files.values()][::-1], query, 10_000)
            case "GET", ["files", name]:
                return _found(emulator.files, name, "file")[0]
            case "POST", ["chat", "completions"]:
                return emulator.chat(json.loads(content))
            case "POST", ["embeddings"]:
                return emulator.embeddings(json.loads(content))
            case "POST", ["fine_tuning", "jobs"]:
                return emulator.create_job(json.loads(content))
            case "GET", ["fine_tuning", "jobs"]:
                return _page(self._listed(query), query, 100)
            case "GET", ["fine_tuning", "jobs", name]:
                return _found(emulator.jobs, name, "fine-tuning job")
            case "POST", ["fine_tuning", "jobs", name, "cancel"]:
                return emulator.cancel(_found(emulator.jobs, name, "fine-tuning job"))
            case "GET", ["fine_tuning", "jobs", name, "events"]:
                return _page(_found(emulator.events, name, "fine-tuning job")[::-1], query, 100)
            case "GET", ["fine_tuning", "jobs", name, "checkpoints"]:
                return _page(_found(emulator.checkpoints, name, "fine-tuning job")[::-1], query, 100)
        raise Refused(404, f"Invalid URL ({self.command} {path})")

    def _listed(self, query: dict[str, str]) -> list[Json]:
        wanted = {m[1]: value for name, value in query.items() if (m := re.match(r"metadata\[(.+)\]\Z", name))}
        found = []
        for job in reversed(self.emulator.jobs.values()):
            if job["lag"] > 0:
                job["lag"] -= 1
            elif wanted.items() <= (job["metadata"] or {}).items():
                found.append(job)
        return found

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _send(self, status: int, body: Any, headers: dict[str, str]) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in {**_HEADERS, **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True


@contextmanager
def running(**options: Any) -> Iterator[OpenAIEmulator]:
    emulator = OpenAIEmulator(**options)
    emulator.thread.start()
    try:
        yield emulator
    finally:
        emulator.closing.set()
        emulator.server.shutdown()
        emulator.server.server_close()


def _checked_row(row: Json, number: int) -> Json:
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(400, f"Row {number} has no messages.", code="invalid_file")
    for message in messages:
        if message.get("role") not in ("developer", "user", "assistant", "tool"):
            raise Refused(400, f"Row {number} has the role {message.get('role')!r}.", code="invalid_file")
    if messages[-1]["role"] != "user":
        raise Refused(400, f"Row {number} must end with a user message.", code="invalid_file")
    return row


def _checked_method(method: Any) -> Json:
    if (
        not isinstance(method, dict)
        or method.get("type") != "reinforcement"
        or set(method) != {"type", "reinforcement"}
    ):
        raise Refused(400, "'method' must be of type reinforcement.", param="method")
    inner: Json = method["reinforcement"]
    unknown = sorted(set(inner) - {"grader", "hyperparameters", "response_format"})
    if unknown:
        raise Refused(400, f"Unknown parameter: 'method.reinforcement.{unknown[0]}'.", code="unknown_parameter")
    for name, value in (inner.get("hyperparameters") or {}).items():
        if name == "reasoning_effort" and value in ("default", "low", "medium", "high"):
            continue
        kind, low, high = _HYPERPARAMETERS.get(name, (None, 0, 0))
        fits = isinstance(value, int | float) and (kind is float or isinstance(value, int)) and low <= value <= high
        if kind is None or not (value == "auto" or fits):
            raise Refused(400, f"Invalid hyperparameter {name}: {value!r}.", param=f"hyperparameters.{name}")
    try:
        with open_grader(inner.get("grader") or {}):
            return inner
    except GraderError as error:
        raise Refused(400, f"Invalid grader: {error}", param="method.reinforcement.grader") from None


def _check_job_extras(body: Json) -> None:
    suffix, seed, metadata = body.get("suffix"), body.get("seed"), body.get("metadata") or {}
    if suffix is not None and not 1 <= len(suffix) <= 64:
        raise Refused(400, "'suffix' must have 1 to 64 characters.", param="suffix")
    if seed is not None and not 0 <= seed <= 2_147_483_647:
        raise Refused(400, "'seed' is out of range.", param="seed")
    fits = all(isinstance(v, str) and len(k) <= 64 and len(v) <= 512 for k, v in metadata.items())
    if len(metadata) > 16 or not fits:
        raise Refused(400, "'metadata' may have 16 entries of 64 and 512 characters.", param="metadata")


def _form(kind: str, content: bytes) -> dict[str, Any]:
    boundary = re.search(r'boundary="?([^";]+)', kind)
    if boundary is None:
        raise Refused(400, "The request is no form.")
    found: dict[str, Any] = {}
    for part in content.split(b"--" + boundary[1].encode())[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]+)"', head)
        file = re.search(rb'filename="([^"]+)"', head)
        if name is not None:
            text = value.removesuffix(b"\r\n")
            found[name[1].decode()] = (file[1].decode(), text) if file else text.decode()
    return found


def _page(items: list[Json], query: dict[str, str], most: int) -> Json:
    limit = int(query.get("limit", 20))
    if not 1 <= limit <= most:
        raise Refused(400, f"'limit' must be 1 to {most}.", param="limit")
    ids = [item["id"] for item in items]
    if "after" in query:
        items = items[ids.index(query["after"]) + 1 :]
    return {"object": "list", "data": items[:limit], "has_more": len(items) > limit}


def _found(table: dict[str, Any], name: str, kind: str) -> Any:
    if name not in table:
        raise Refused(404, f"Could not find {kind}: {name}", code="not_found")
    return table[name]


def _components(grader: Grader, results: list[Any]) -> list[Json]:
    names = results[0].sub_rewards
    kinds = {name: getattr(child, "type", "") for name, child in getattr(grader.spec, "graders", {}).items()}
    if len(names) < 2:
        return []
    return [
        {
            "name": name,
            "type": kinds.get(name, ""),
            "train_reward_mean": sum(r.sub_rewards.get(name, 0.0) for r in results) / len(results),
        }
        for name in names
    ]


def _mean(results: list[Any]) -> float:
    return sum(result.reward or 0.0 for result in results) / len(results)


def _short(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 100


def _now() -> int:
    return int(time.time())

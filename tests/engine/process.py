"""The real engine in a process of its own, for tests that talk to it over HTTP or end it the hard way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent

REFUND, CARD, LOGIN = "refund", "lost card", "login"
#: Texts a classifier can tell apart, three topics.
TEXTS = {
    REFUND: [
        "I want my money back for this order",
        "Please refund the payment I made twice",
        "When do I get the refund for my return",
        "The shop owes me money, refund it",
        "Can you give the money back for the broken item",
        "My refund did not show up on my account",
    ],
    CARD: [
        "I lost my card on the train",
        "My card was stolen yesterday, block it",
        "Please freeze the card, I can't find it",
        "The card is gone, send a new card",
        "Someone took my credit card from my bag",
        "I dropped my card somewhere, what now",
    ],
    LOGIN: [
        "I can't sign in with my password",
        "The app says my password is wrong",
        "How do I reset the password of my login",
        "My login does not work any more",
        "I am locked out and can't sign in",
        "The sign in code never reaches my phone",
    ],
}
LABELS = list(TEXTS)

EXACT = {
    "type": "string_check",
    "name": "exact",
    "operation": "eq",
    "input": "{{sample.output_text}}",
    "reference": "{{item.reference_answer}}",
}
#: Training that stays in the middle of learning for many seconds: tiny steps, so that nothing is ever settled.
SLOW = {"steps": 5000, "learning_rate": 0.0001, "prompts_per_step": 12, "answers_per_prompt": 64, "eval_interval": 5}


def rows(first: int, last: int) -> list[dict[str, Any]]:
    """Rows of every topic from its texts ``first`` to ``last``."""
    return [
        {"messages": [{"role": "user", "content": text}], "reference_answer": label}
        for label, texts in TEXTS.items()
        for text in texts[first:last]
    ]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Engine:
    """``start`` waits until it answers. ``kill`` is ``kill -9``."""

    def __init__(self, data_dir: Path, *, key: str = "", environment: dict[str, str] | None = None) -> None:
        self.data_dir, self.key = data_dir, key
        self.environment = environment or {}
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def credentials(self) -> dict[str, Any]:
        return {"base_url": self.url, "api_key": self.key}

    def start(self) -> Engine:
        environment = {**os.environ, **self.environment, "ENGINE_KEY": self.key}
        command = [sys.executable, "-m", "rft_project.engine", "--port", str(self.port)]
        with (self.data_dir / "engine.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--data-dir", str(self.data_dir)], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                if self.request("GET", "/healthz")[0] == 200:
                    return self
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.data_dir / "engine.log").read_text(encoding="utf-8"))
            time.sleep(0.1)

    def stop(self) -> int:
        """Ends it as an operator does; its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def request(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON (or bytes) of one request; a ``bytes`` body goes out as it is."""
        sent = dict(headers or {})
        if self.key and "Authorization" not in sent:
            sent["Authorization"] = f"Bearer {self.key}"
        data = body
        if body is not None and not isinstance(body, bytes):
            data = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, sent, method=method), timeout=180) as answer:
                return answer.status, _content(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _content(error.read())

    def upload(self, content: bytes, name: str = "rows.jsonl", purpose: str = "fine-tune") -> tuple[int, Any]:
        line = b"\r\n"
        parts = [
            b"--x", b'Content-Disposition: form-data; name="purpose"', b"", purpose.encode(),
            b"--x", f'Content-Disposition: form-data; name="file"; filename="{name}"'.encode(), b"", content,
            b"--x--", b"",
        ]  # fmt: skip
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        return self.request("POST", "/v1/files", line.join(parts), headers=kind)

    def upload_rows(self, lines: list[dict[str, Any]]) -> str:
        status, file = self.upload("".join(json.dumps(line) + "\n" for line in lines).encode())
        assert status == 200, file
        return str(file["id"])

    def new_job(self, **changes: Any) -> tuple[int, Any]:
        """Starts classifier training on the topics; ``reinforcement`` is merged, ``None`` leaves a field out."""
        reinforcement = {"grader": EXACT, "allowed_answers": LABELS, **changes.pop("reinforcement", {})}
        body: dict[str, Any] = {
            "model": "classifier",
            "training_file": changes.pop("training_file", None) or self.upload_rows(rows(0, 4)),
            "validation_file": changes.pop("validation_file", None) or self.upload_rows(rows(4, 6)),
            "method": {"type": "reinforcement", "reinforcement": reinforcement},
            "seed": 1,
        } | changes
        return self.request("POST", "/v1/fine_tuning/jobs", {k: v for k, v in body.items() if v is not None})

    def job(self, job_id: str) -> dict[str, Any]:
        return self.request("GET", f"/v1/fine_tuning/jobs/{job_id}")[1]

    def events(self, job_id: str) -> list[dict[str, Any]]:
        """All of them, oldest first."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = self.request("GET", f"/v1/fine_tuning/jobs/{job_id}/events?limit=1000{after}")[1]
            found += page["data"]
            if not page["has_more"]:
                return found[::-1]
            after = f"&after={page['data'][-1]['id']}"

    def wait(self, job_id: str, done: Any, seconds: float = 60.0) -> dict[str, Any]:
        """The job as soon as ``done(job)`` holds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            job = self.job(job_id)
            if done(job):
                return job
            time.sleep(0.1)
        raise AssertionError(f"waited {seconds} s for {job_id}: {self.job(job_id)}")

    def wait_final(self, job_id: str) -> dict[str, Any]:
        return self.wait(job_id, lambda job: job["status"] in ("succeeded", "failed", "cancelled"))

    def wait_step(self, job_id: str, step: int) -> dict[str, Any]:
        return self.wait(job_id, lambda job: (job["rft"]["step"] or 0) >= step)

    def worker_pids(self, job_id: str) -> list[int]:
        """Training processes of a job that are alive."""
        found = []
        for place in Path("/proc").iterdir():
            if place.name.isdigit():
                with contextlib.suppress(OSError):
                    words = (place / "cmdline").read_bytes().split(b"\0")
                    if b"rft_project.engine.worker" in words and job_id.encode() in words:
                        found.append(int(place.name))
        return found


def _content(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content

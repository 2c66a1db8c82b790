"""The platforms of the campaign of killed starts: emulators that kill and lag, and what they hold for an intent."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import Any

from rft_project.platforms.bedrock_values import deployment_name, folder, job_name
from rft_project.platforms.lambda_grader import function_name
from rft_project.platforms.openai_protocol import file_prefix
from tests.emulators import azure, bedrock, mantle, openai
from tests.emulators.aws_iam import needs_of_request
from tests.emulators.aws_wire import scope
from tests.emulators.policy import UNSURE, Policy
from tests.emulators.wire import Answer, Refused, Request
from tests.engine.process import rows

LAG = 0.3  # seconds until lists show what was made
_OWN = re.compile(r"[-.:\w]*[0-9a-f]{8}[-.:\w]*")  # a name that differs from intent to intent


class Trap:
    """Kills one process at one of its next requests. Emulators that are one platform share one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._victim = 0
        self._at: int | str = 0
        self.moment = ""
        #: What was asked when it snapped, '' where it did not.
        self.request = ""
        #: Whether a start is going on, and what starts asked for.
        self.watching = True
        self.asked: Counter[str] = Counter()

    def aim(self, victim: int, moment: str, at: int | str) -> None:
        """Kill ``victim`` at ``moment`` of the request number ``at`` from here, or of the next of that name."""
        with self._lock:
            self.moment, self._at, self._victim, self.request = moment, at, victim, ""

    def sprung(self, request: str) -> int:
        """The process that is to be killed at this request, 0 where none is."""
        with self._lock:
            if self.watching:
                self.asked[request] += 1
            if isinstance(self._at, int):
                self._at -= 1
            if self._at not in (0, request) or self.request or not self._victim:
                return 0
            self.request = request
            return self._victim

    def kill(self, victim: int) -> None:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            return


class Deadly:
    """Mixed into an emulator: kills the caller at one request, and leaves what is new out of lists for a while."""

    def __init__(self, *, trap: Trap | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.trap = trap or Trap()
        self.made_at: dict[str, float] = {}

    def answer(self, request: Request) -> Answer:
        hit, moment = self.trap.sprung(self.name_of(request)), self.trap.moment
        if hit and moment == "before":
            self.trap.kill(hit)
            return Answer(503)  # nobody hears it, and nothing was done
        answer = self.lagging(request, super().answer(request))  # type: ignore[misc]
        if hit and moment == "after":
            self.trap.kill(hit)
        elif hit:
            threading.Timer(0.004, self.trap.kill, (hit,)).start()
        return answer

    def name_of(self, request: Request) -> str:
        """What the request is, without what differs from intent to intent."""
        return f"{request.method} {_OWN.sub('…', request.path)}"

    def lagging(self, request: Request, answer: Answer) -> Answer:
        """``answer`` without what is new, where it is a list."""
        if not isinstance(answer.body, dict):
            return answer
        if request.method == "POST" and answer.status < 300 and "id" in answer.body:
            self.made(answer.body["id"])
        if request.method == "GET" and isinstance(answer.body.get("data"), list):
            shown = [item for item in answer.body["data"] if not self.new(item.get("id"))]
            return replace(answer, body={**answer.body, "data": shown})
        return answer

    def made(self, name: str) -> None:
        self.made_at.setdefault(name, time.monotonic())

    def new(self, name: Any) -> bool:
        return time.monotonic() - self.made_at.get(name, 0.0) < LAG


class DeadlyOpenAI(Deadly, openai.OpenAIEmulator):
    pass


class DeadlyAzure(Deadly, azure.AzureEmulator):
    pass


class DeadlyBedrock(Deadly, bedrock.BedrockEmulator):
    """Jobs never begin. ``made_of``: how often something of a name was made, an overwritten file as often as it was."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.made_of: Counter[str] = Counter()

    def _train(self, job: Any, train: Any, valid: Any) -> None:
        pass

    def name_of(self, request: Request) -> str:
        service = (scope(request) + [""] * 4)[3]
        needs = [] if service == "bedrock" else needs_of_request(service, request, self.place)
        return needs[0].action if needs else super().name_of(request)

    def lagging(self, request: Request, answer: Answer) -> Answer:
        if answer.status >= 300:
            return answer
        service = (scope(request) + [""] * 4)[3]
        if service == "bedrock":
            return self._control(request, answer)
        if service == "s3":
            return self._files(request, answer)
        return self._functions(request, answer) if service == "lambda" else answer

    def _control(self, request: Request, answer: Answer) -> Answer:
        """Jobs and deployments have no list that is asked: they are read by their names."""
        if request.method == "POST":
            body = request.json()
            self.made(body.get("jobName") or body.get("modelDeploymentName") or "")
        if request.method == "GET" and self.new(request.parts[-1]):
            return self.refusal(Refused(404, f"There is no {request.parts[-1]}.", code="ResourceNotFoundException"))
        return answer

    def _files(self, request: Request, answer: Answer) -> Answer:
        name = "/".join(request.parts[1:])
        if request.method == "PUT" and name:
            self.made(name)
            self.made_of[name] += 1
        if request.method == "GET" and not name:
            listed = re.sub(r"<Contents>.*?<Key>(.*?)</Key>.*?</Contents>", self._shown, answer.body.decode())
            return replace(answer, body=listed.encode())
        return answer

    def _shown(self, entry: re.Match[str]) -> str:
        return "" if self.new(entry[1]) else entry[0]

    def _functions(self, request: Request, answer: Answer) -> Answer:
        if (request.method, request.parts[-1]) in (("POST", "functions"), ("PUT", "code")):
            body = json.loads(answer.body)
            self.made(f"{body['FunctionName']}:{body['Version']}")
            self.made_of[body["FunctionName"]] += 1
        if (request.method, request.parts[-1]) == ("GET", "versions"):
            body = json.loads(answer.body)
            shown = [v for v in body["Versions"] if not self.new(f"{v['FunctionName']}:{v['Version']}")]
            return replace(answer, body=json.dumps({**body, "Versions": shown}).encode())
        return answer

    def left(self, key: str) -> Counter[str]:
        """What lies in the account for ``key``, beside its job: files and the function."""
        files = self.account.s3.list_objects_v2(Bucket=self.account.bucket, Prefix=f"{folder(key)}/")
        return +Counter(
            {"files": files["KeyCount"], "functions": int(self.account.function(function_name(key)) is not None)}
        )

    def forget(self, key: str) -> None:
        """What was made for ``key`` and taken back is not counted any more; its function's process ends."""
        for name in [name for name in self.made_of if name.startswith((f"{folder(key)}/", function_name(key)))]:
            del self.made_of[name]
        for arn in [arn for arn in self._processes if function_name(key) in arn]:
            self._processes.pop(arn).close()


class DeadlyMantle(Deadly, mantle.MantleEmulator):
    """Its two addresses share trap and faults."""

    aws_emulator = DeadlyBedrock

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.aws.trap, self.aws.faults = self.trap, self.faults
        #: Names of files by id, also of those that were deleted.
        self.names: dict[str, str] = {}

    def _kept(self, name: str, content: bytes, purpose: str) -> Any:
        kept = super()._kept(name, content, purpose)
        self.names[kept["id"]] = name
        return kept

    def jobs_of(self, key: str) -> list[Any]:
        prefix = f"{file_prefix(key)}-train-"
        return [job for job in self.jobs.values() if self.names[job["training_file"]].startswith(prefix)]


class Case:
    """A platform in the campaign. ``billed``: what the emulator holds for a key, by what it is."""

    kind = "openai"
    model = openai.TRAINABLE
    deploys = ""  # the model that is deployed after the start, '' where deploying makes nothing
    requests = 9  # of a start from nothing, at least
    seconds = 0.4  # that it takes, about
    cleans = False  # whether what a training leaves can be deleted

    def emulator(self) -> Any:
        return DeadlyOpenAI(queue_seconds=3600.0)

    def environment(self, emulator: Any) -> dict[str, str]:
        return {}

    def addresses(self, emulator: Any) -> list[str]:
        return [emulator.origin]

    def train_rows(self) -> list[dict[str, Any]]:
        return rows(0, 4)

    def package(self) -> bytes:
        """The grader, where that is not the document."""
        return b""

    def expected(self) -> Counter[str]:
        return Counter({"job": 1, "upload train": 1, "upload valid": 1})

    def billed(self, emulator: Any, key: str) -> Counter[str]:
        jobs = sum((job["metadata"] or {}).get("app_key") == key for job in emulator.jobs.values())
        return +Counter({"job": jobs, **_uploads(emulator, key)})

    def end(self, emulator: Any, key: str) -> None:
        """End the intent's job, so that what it left can be deleted."""

    def left(self, emulator: Any, key: str) -> Counter[str]:
        """What the intent left beside its job and deployment."""
        return Counter()

    def forget(self, emulator: Any, key: str) -> None:
        """The intent is over: nothing of it is counted any more."""


class AzureCase(Case):
    kind = "azure"
    model = azure.TRAINABLE
    deploys = f"{azure.TRAINABLE}.ft-0123456789abcdef"

    def emulator(self) -> Any:
        made = DeadlyAzure(queue_seconds=3600.0)
        made.arm.quota = 1_000_000
        made.models[self.deploys] = ({"id": self.deploys, "object": "model", "created": 1}, None)
        return made

    def environment(self, emulator: Any) -> dict[str, str]:
        return dict(emulator.environment)

    def expected(self) -> Counter[str]:
        return super().expected() + Counter({"deployment": 1})

    def billed(self, emulator: Any, key: str) -> Counter[str]:
        named = sum(key[:8] in name for name in emulator.arm.made)
        return super().billed(emulator, key) + Counter({"deployment": named})


class AwsCase(Case):
    """What both of Bedrock's have in common: a hundred rows, and the grader as a function."""

    cleans = True

    def train_rows(self) -> list[dict[str, Any]]:
        return rows(0, 4) * 9

    def package(self) -> bytes:
        from graders_app.core.compiling import lambda_zip
        from tests.engine.process import EXACT

        return lambda_zip(EXACT)


class BedrockCase(AwsCase):
    kind = "bedrock"
    model = bedrock.TRAINABLE
    deploys = f"arn:aws:bedrock:us-east-1:{bedrock.ACCOUNT}:custom-model/{bedrock.TRAINABLE}/sim0deployed"
    requests = 17
    seconds = 1.0

    def emulator(self) -> Any:
        made = DeadlyBedrock()
        about = {"modelArn": self.deploys, "modelName": "tuned", "jobArn": ""}
        made.models[self.deploys] = (about, Policy([UNSURE]))
        return made

    def expected(self) -> Counter[str]:
        return super().expected() + Counter({"grader": 1, "deployment": 1})

    def billed(self, emulator: Any, key: str) -> Counter[str]:
        named, ending = emulator.made_of, deployment_name(f"{key}:deploy", "")[-16:]
        return +Counter({
            "job": sum(job["jobName"] == job_name(key) for job in emulator.jobs.values()),
            "deployment": sum(d["modelDeploymentName"].endswith(ending) for d in emulator.deployments.values()),
            "grader": named[function_name(key)],
            **{
                f"upload {part}": sum(n for name, n in named.items() if name.startswith(f"{folder(key)}/{part}-"))
                for part in ("train", "valid")
            },
        })  # fmt: skip

    def end(self, emulator: Any, key: str) -> None:
        for job in emulator.jobs.values():
            if job["jobName"] == job_name(key):
                job["status"] = "Stopped"

    def left(self, emulator: Any, key: str) -> Counter[str]:
        return emulator.left(key)

    def forget(self, emulator: Any, key: str) -> None:
        emulator.forget(key)


class MantleCase(AwsCase):
    kind = "bedrock_openai"
    model = mantle.TRAINABLE
    requests = 13
    seconds = 0.8

    def emulator(self) -> Any:
        return DeadlyMantle(queue_seconds=3600.0)

    def addresses(self, emulator: Any) -> list[str]:
        return [emulator.origin, emulator.aws.origin]

    def expected(self) -> Counter[str]:
        return Counter({"job": 1, "upload train": 1, "grader": 1})

    def billed(self, emulator: Any, key: str) -> Counter[str]:
        graders = emulator.aws.made_of[function_name(key)]
        return +Counter({"job": len(emulator.jobs_of(key)), "grader": graders, **_uploads(emulator, key)})

    def end(self, emulator: Any, key: str) -> None:
        for job in emulator.jobs_of(key):
            job["status"] = "cancelled"

    def left(self, emulator: Any, key: str) -> Counter[str]:
        return emulator.aws.left(key) + Counter({"files": sum(_uploads(emulator, key).values())})

    def forget(self, emulator: Any, key: str) -> None:
        emulator.aws.forget(key)


def _uploads(emulator: Any, key: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for about, _ in emulator.files.values():
        tag, part, *_ = [*about["filename"].split("-"), ""]
        if tag == file_prefix(key):
            found[f"upload {part}"] += 1
    return found


CASES: dict[str, Case] = {case.kind: case for case in (Case(), AzureCase(), BedrockCase(), MantleCase())}

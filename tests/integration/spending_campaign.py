"""Starts that are killed at every request and at random moments, with faults and lists that lag: nothing is paid twice.

``python -m tests.integration.spending_campaign openai --kills 200`` (also ``azure``). The emulator lives in this
process. Each start is a process of its own, forked from a warm one, with the real SDK and the real ledger in a
database file; the emulator kills it before a request is handled, before it is answered, or just after.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.emulators import azure, openai
from tests.emulators.faults import Fault
from tests.emulators.wire import Answer, Emulator, Request
from tests.engine.process import EXACT, rows

ROOT = Path(__file__).resolve().parents[2]
GRACE = 1  # seconds; above the lag of the lists and the longest answer
LAG = 0.3
HANG = 0.2
LIMIT = 60.0  # seconds for one start
FAULTS: tuple[str | int, ...] = ("500-after", "drop-after", "hang", "broken-json", "cut", "drop", 500, 503, 409, 429)
MOMENTS = ("before", "after", "answered", "any time")
MADE, ASKS = 0, 3  # exit codes of a start


class Deadly:
    """Mixed into an emulator: kills the caller at one request, and leaves what is new out of lists for a while."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.made_at: dict[str, float] = {}
        self.victim = 0
        self.moment = ""
        self.countdown = 0
        self.killed = threading.Event()

    def aim(self, victim: int, moment: str, countdown: int) -> None:
        """Kill ``victim`` at the request number ``countdown`` from here, at ``moment``."""
        self.moment, self.countdown = moment, countdown
        self.killed.clear()
        self.victim = victim

    def answer(self, request: Request) -> Answer:
        with self.lock:  # type: ignore[attr-defined]
            self.countdown -= 1
            hit = self.victim if self.countdown == 0 else 0
        if hit and self.moment == "before":
            self.kill(hit)
            return Answer(503)  # nobody hears it, and nothing was done
        answer: Answer = super().answer(request)  # type: ignore[misc]
        self._lag(request, answer)
        if hit and self.moment == "after":
            self.kill(hit)
        elif hit:
            threading.Timer(0.004, self.kill, (hit,)).start()
        return answer

    def kill(self, victim: int) -> None:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.killed.set()

    def _lag(self, request: Request, answer: Answer) -> None:
        if not isinstance(answer.body, dict):
            return
        now = time.monotonic()
        if request.method == "POST" and answer.status < 300 and "id" in answer.body:
            self.made_at.setdefault(answer.body["id"], now)
        if request.method == "GET" and isinstance(answer.body.get("data"), list):
            shown = [item for item in answer.body["data"] if now - self.made_at.get(item.get("id"), 0.0) >= LAG]
            answer.body["data"] = shown


class DeadlyOpenAI(Deadly, openai.OpenAIEmulator):
    pass


class DeadlyAzure(Deadly, azure.AzureEmulator):
    pass


class Case:
    """A platform in the campaign. ``billed``: what the emulator holds for a key, by what it is."""

    kind = "openai"
    model = openai.TRAINABLE
    deploys = ""  # the model that is deployed after the start, '' where deploying makes nothing

    def emulator(self) -> Any:
        return DeadlyOpenAI(queue_seconds=3600.0)

    def environment(self, emulator: Any) -> dict[str, str]:
        return {}

    def expected(self) -> Counter[str]:
        return Counter({"job": 1, "upload train": 1, "upload valid": 1})

    def billed(self, emulator: Any, key: str, tag: str) -> Counter[str]:
        found: Counter[str] = Counter()
        for job in emulator.jobs.values():
            found["job"] += (job["metadata"] or {}).get("app_key") == key
        for about, _ in emulator.files.values():
            name, part, *_ = [*about["filename"].split("-"), ""]
            if name == tag:
                found[f"upload {part}"] += 1
        return +found


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

    def billed(self, emulator: Any, key: str, tag: str) -> Counter[str]:
        named = Counter(name for name in emulator.arm.made if key[:8] in name)
        return super().billed(emulator, key, tag) + Counter({"deployment": sum(named.values())})


CASES: dict[str, Case] = {"openai": Case(), "azure": AzureCase()}


class Campaign:
    """Until ``kills`` have hit: a new intent, up to three deaths, then peace until its start is through.

    ``kept`` False: without the ledger, to see that the campaign finds what it is for.
    """

    def __init__(
        self, case: Case, connection: Any, zygote: Zygote, emulator: Any, *, kills: int, seed: int, kept: bool = True
    ) -> None:
        self.case, self.connection, self.zygote, self.emulator, self.kept = case, connection, zygote, emulator, kept
        self.kills, self.dice = kills, random.Random(seed)
        self.hits: Counter[str] = Counter()
        self.figures: Counter[str] = Counter()

    def run(self) -> list[str]:
        """What is wrong, one sentence each."""
        wrong: list[str] = []
        while sum(self.hits.values()) < self.kills:
            key = uuid.UUID(int=self.dice.getrandbits(128)).hex
            self._intent(key)
            self.figures["intents"] += 1
            found = self.case.billed(self.emulator, key, _tag(key))
            if found != self.case.expected():
                wrong.append(f"{key}: {dict(found)}")
        self.figures["faults"] -= len(self.emulator.faults)
        return wrong

    def _intent(self, key: str) -> None:
        deaths, ends_at = self.dice.randint(1, 3), time.monotonic() + LIMIT
        while True:
            assert time.monotonic() < ends_at, f"the start of {key} does not end"
            self.figures["starts"] += 1
            task = {"connection": str(self.connection.pk), "key": key, "kind": self.case.kind}
            pid = self.zygote.start(task | ({"kept": "yes"} if self.kept else {}))
            if deaths > 0:
                self._harm(pid)
            code = self.zygote.ended()
            if code == -signal.SIGKILL:
                deaths -= 1
                self.hits[self.emulator.moment] += 1
            elif code == ASKS:
                self._decide(key)
            elif code == MADE:
                return
            else:
                raise AssertionError(f"the start of {key} ended with {code}")

    def _harm(self, pid: int) -> None:
        """A death somewhere in the next requests and, in half of the starts, a fault before it."""
        self.emulator.faults.clear()
        if self.dice.random() < 0.5:
            method, path = self.dice.choice([("POST", ""), ("POST", ""), ("GET", ""), ("PUT", "")])
            kind = self.dice.choice(FAULTS)
            fault = Fault(method, path, kind, seconds=HANG, skip=self.dice.randrange(3))
            self.emulator.faults.append(fault)
            self.figures["faults"] += 1
        moment = self.dice.choice(MOMENTS)
        if moment != "any time":
            return self.emulator.aim(pid, moment, self.dice.randint(1, 9))
        self.emulator.aim(0, moment, 0)
        threading.Timer(self.dice.uniform(0.0, 0.4), self.emulator.kill, (pid,)).start()
        return None

    def _decide(self, key: str) -> None:
        """A person looks at the platform, and says what is there."""
        from rft_project.ledger import decisions
        from rft_project.ledger.models import ExternalCall, State

        self.figures["decided by a person"] += 1
        for call in ExternalCall.objects.filter(key__startswith=key, state=State.UNKNOWN):
            decisions.not_there(call, by=None)  # what is there after all is found before anything is sent


class Zygote:
    """A process that has everything loaded and forks one child for each line."""

    def __init__(self, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "tests.integration.spending_campaign", "zygote"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, task: dict[str, str]) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        return self._line()

    def ended(self) -> int:
        """Exit code of the child, the signal as a negative number."""
        return self._line()

    def _line(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


def say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def zygote() -> int:
    import django

    django.setup()
    from rft_project.connections import services as _  # noqa: F401 - loaded once, for all children
    from rft_project.platforms import adapter

    for line in sys.stdin:
        task = json.loads(line)
        adapter(task["kind"])
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(start(task))
            finally:
                traceback.print_exc()
                os._exit(1)
        say(pid)
        say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return 0


def start(task: dict[str, str]) -> int:
    """Start training, then deploy where that makes something; as the job does, again while it is not known."""
    from rft_project.connections.models import Connection
    from rft_project.connections.services import platform_for
    from rft_project.ledger import services as ledger
    from rft_project.platforms.journal import UNKEPT
    from rft_project.platforms.types import DeployRequest, TrainingRequest

    connection = Connection.objects.get(pk=task["connection"])
    case, key, platform = CASES[task["kind"]], task["key"], platform_for(connection)
    request = TrainingRequest(
        key=key, model=case.model, train_rows=rows(0, 4), valid_rows=_valid_rows(), grader=EXACT, seed=1
    )
    journal: Callable[..., Any] = ledger.journal if task.get("kept") else lambda *_: UNKEPT
    deploy = DeployRequest(key=f"{key}:deploy", model=case.deploys, name=key[:8])
    try:
        _patiently(lambda: platform.start_training(request, journal(connection, key, "a training")))
        if case.deploys:
            _patiently(lambda: platform.deploy(deploy, journal(connection, deploy.key, "a deployment")))
    except LookupError:
        return ASKS
    return MADE


def _valid_rows() -> list[dict[str, Any]]:
    """Twelve: Azure takes no file with fewer than ten."""
    asked = [(row["messages"][0]["content"], row["reference_answer"]) for row in rows(4, 6)]
    return [
        {"messages": [{"role": "user", "content": text + ending}], "reference_answer": label}
        for text, label in asked
        for ending in ("", " Please.")
    ]


def _patiently(call: Callable[[], Any]) -> None:
    from rft_project.platforms.errors import PlatformError

    while True:
        try:
            call()
        except PlatformError as error:
            if not error.retryable:
                if "operator" in str(error):
                    raise LookupError from error
                raise
            time.sleep(min(error.retry_after or 0.05, 0.2))
        else:
            return


def _tag(key: str) -> str:
    from hashlib import sha256

    return sha256(key.encode()).hexdigest()[:16]


@contextmanager
def campaign(
    kind: str, workspace: Any, environment: dict[str, str], *, kills: int, seed: int, kept: bool = True
) -> Iterator[Campaign]:
    from rft_project.connections.models import Connection

    case = CASES[kind]
    emulator: Emulator = case.emulator()
    emulator.thread.start()
    allowed = emulator.origin.removeprefix("http://")
    more = {"SPENDING_GRACE": str(GRACE), "ALLOWED_PRIVATE_ENDPOINTS": allowed, **case.environment(emulator)}
    connection = Connection(workspace=workspace, kind=kind, name=f"Campaign on {kind}")
    connection.set_credentials(emulator.credentials)  # type: ignore[attr-defined]
    connection.save()
    parent = Zygote({**environment, **more})
    try:
        yield Campaign(case, connection, parent, emulator, kills=kills, seed=seed, kept=kept)
    finally:
        parent.stop()
        emulator.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=sorted(CASES))
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--without", action="store_true", help="without the ledger: shows what it is for")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rft-spending-") as folder:
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder}/db.sqlite3")
        os.environ["RFT_TEST_DIR"] = folder
        import django

        django.setup()
        from django.core.management import call_command

        from rft_project.connections.models import Workspace

        call_command("migrate", verbosity=0)
        workspace = Workspace.objects.create(name="Campaign")
        began = time.monotonic()
        environment, kept = dict(os.environ), not options.without
        with campaign(options.kind, workspace, environment, kills=options.kills, seed=options.seed, kept=kept) as fight:
            wrong = fight.run()
        say(f"seed {options.seed}, {time.monotonic() - began:.0f} s, kills {dict(fight.hits)}, {dict(fight.figures)}")
        say("\n".join(wrong) or "One job, one upload of each part and one deployment for every intent.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(zygote() if sys.argv[1:] == ["zygote"] else main())

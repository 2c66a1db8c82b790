"""Starts that are killed at every request and at random moments, with faults and lists that lag: nothing is paid twice.

``python -m tests.integration.spending_campaign openai --kills 200`` (also ``azure``, ``bedrock``,
``bedrock_openai``). The emulator lives in this process. Each start is a process of its own, forked from a warm one,
with the real SDK and the real ledger in a database file; the emulator kills it before a request is handled, before it
is answered, or just after.
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

from tests.emulators.faults import Fault
from tests.emulators.wire import Emulator
from tests.engine.process import EXACT, rows

from .spending_cases import CASES, LAG, Case

ROOT = Path(__file__).resolve().parents[2]
GRACE = 1  # seconds; above the lag of the lists and the longest answer
HANG = 0.2
LIMIT = 60.0  # seconds for one start
FAULTS: tuple[str | int, ...] = ("500-after", "drop-after", "hang", "broken-json", "cut", "drop", 500, 503, 409, 429)
MOMENTS = ("before", "after", "answered")
MADE, ASKS, REFUSED = 0, 3, 4  # exit codes of a start and of a clean-up


class Campaign:
    """Until ``kills`` have hit: a new intent, up to three deaths, then peace until its start is through.

    Where a platform cleans up, some intents are given up and cleaned up after a death and started anew, and each is
    cleaned up and started once more at its end. ``kept`` False: without the ledger, to see that the campaign finds what
    it is for.
    """

    def __init__(
        self, case: Case, connection: Any, zygote: Zygote, emulator: Any, *, kills: int, seed: int, kept: bool = True
    ) -> None:
        self.case, self.connection, self.zygote, self.emulator, self.kept = case, connection, zygote, emulator, kept
        self.kills, self.dice = kills, random.Random(seed)
        self.hits: Counter[str] = Counter()
        self.figures: Counter[str] = Counter()
        #: Kills by request and moment.
        self.points: Counter[tuple[str, str]] = Counter()
        self._aims: list[tuple[str, int]] = []

    def run(self) -> list[str]:
        """What is wrong, one sentence each."""
        wrong: list[str] = []
        while sum(self.hits.values()) < self.kills:
            key = uuid.UUID(int=self.dice.getrandbits(128)).hex
            wrong += [f"{key}: {sentence}" for sentence in self._intent(key)]
            self.figures["intents"] += 1
        return wrong

    def missed(self) -> list[tuple[str, str]]:
        """Requests of starts that no kill hit at one of the moments."""
        asked = {(request, moment) for request in self.emulator.trap.asked for moment in MOMENTS}
        return sorted(asked - set(self.points))

    def _intent(self, key: str) -> list[str]:
        wrong = self._started(key)
        found = self.case.billed(self.emulator, key)
        if found != self.case.expected():
            wrong.append(f"holds {dict(found)}")
        if self.case.cleans:
            self.case.end(self.emulator, key)
            wrong += self._cleaned(key)
            wrong += [f"started again, it ended with {code}" for code in [self._run(key)] if code != MADE]
            after = self.case.billed(self.emulator, key)
            wrong += [f"{name} made again after cleaning up" for name in ("job", "deployment") if after[name] > 1]
            self.case.forget(self.emulator, key)
        return wrong

    def _started(self, key: str) -> list[str]:
        deaths, ends_at = self.dice.randint(1, 3), time.monotonic() + LIMIT
        given_up = self.case.cleans and self.dice.random() < 0.25
        while True:
            assert time.monotonic() < ends_at, f"the start of {key} does not end"
            self.figures["starts"] += 1
            code = self._run(key, harmed=deaths > 0)
            if code == -signal.SIGKILL:
                deaths -= 1
                self._count()
                if given_up:
                    given_up = False
                    if wrong := self._given_up(key):
                        return wrong
            elif code == ASKS:
                self._decide(key)
            else:
                return [] if code == MADE else [f"its start ended with {code}"]

    def _run(self, key: str, *, harmed: bool = False, do: str = "start") -> int:
        """Exit code of one process."""
        task = {"connection": str(self.connection.pk), "key": key, "kind": self.case.kind, "do": do}
        self.emulator.trap.watching = do == "start"
        pid = self.zygote.start(task | ({"kept": "yes"} if self.kept else {}))
        if harmed:
            self._harm(pid)
        else:
            self.emulator.trap.aim(0, "", 0)
        return self.zygote.ended()

    def _count(self) -> None:
        trap = self.emulator.trap
        self.hits[trap.moment] += 1
        if trap.request:
            self.points[trap.request, trap.moment] += 1

    def _harm(self, pid: int) -> None:
        """A death somewhere in the next requests and, in half of the starts, a fault before it."""
        self._no_faults()
        if self.dice.random() < 0.5:
            method, path = self.dice.choice([("POST", ""), ("POST", ""), ("GET", ""), ("PUT", "")])
            kind = self.dice.choice(FAULTS)
            fault = Fault(method, path, kind, seconds=HANG, skip=self.dice.randrange(3))
            self.emulator.faults.append(fault)
            self.figures["faults"] += 1
        trap = self.emulator.trap
        if self.dice.random() < 0.25:
            trap.aim(0, "any time", 0)
            threading.Timer(self.dice.uniform(0.0, self.case.seconds), trap.kill, (pid,)).start()
            return
        missed = self.missed()
        if missed and self.dice.random() < 0.5:
            request, moment = self.dice.choice(missed)
            trap.aim(pid, moment, request)
            return
        if not self._aims:  # every request by its number, at each moment
            self._aims = [(moment, at + 1) for moment in MOMENTS for at in range(self.case.requests)]
            self.dice.shuffle(self._aims)
        trap.aim(pid, *self._aims.pop())

    def _no_faults(self) -> None:
        """Those that hit nobody do not count."""
        self.figures["faults"] -= len(self.emulator.faults)
        self.emulator.faults.clear()

    def _given_up(self, key: str) -> list[str]:
        """Deleted is what the dead start left, unless its job is at work; what comes after is a start from nothing."""
        self._no_faults()
        time.sleep(LAG)
        code = self._run(key, do="clean up")
        if code == REFUSED:
            return []
        self.figures["given up"] += 1
        wrong = self._leftovers(key, code)
        self.case.forget(self.emulator, key)
        return wrong

    def _cleaned(self, key: str) -> list[str]:
        self._no_faults()
        time.sleep(LAG)
        return self._leftovers(key, self._run(key, do="clean up"))

    def _leftovers(self, key: str, code: int) -> list[str]:
        left = self.case.left(self.emulator, key)
        return [f"cleaning up ended with {code} and left {dict(left)}"] if code != MADE or left else []

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
    from rft_project.ledger import cleaning as _  # noqa: F401 - loaded once, for all children
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
    if task["do"] != "start":
        return clean_up(connection, platform, key)
    request = TrainingRequest(
        key=key,
        model=case.model,
        train_rows=case.train_rows(),
        valid_rows=_valid_rows(),
        grader=EXACT,
        grader_package=case.package(),
        seed=1,
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


def clean_up(connection: Any, platform: Any, key: str) -> int:
    """As the command does."""
    from rft_project.ledger.cleaning import cleaned_up
    from rft_project.platforms.errors import PlatformError

    try:
        _patiently(lambda: cleaned_up(connection, platform, key))
    except PlatformError as error:
        if error.status != 409:
            raise
        return REFUSED
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


@contextmanager
def campaign(
    kind: str, workspace: Any, environment: dict[str, str], *, kills: int, seed: int, kept: bool = True
) -> Iterator[Campaign]:
    from rft_project.connections.models import Connection

    case = CASES[kind]
    emulator: Emulator = case.emulator()
    emulator.thread.start()
    allowed = ",".join(origin.removeprefix("http://") for origin in case.addresses(emulator))
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
        say(f"{len(fight.emulator.trap.asked)} kinds of requests, no kill at: {fight.missed() or 'none'}")
        say("\n".join(wrong) or "One job, one upload of each part and one deployment for every intent.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(zygote() if sys.argv[1:] == ["zygote"] else main())

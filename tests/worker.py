"""Background work in tests: ``drain()`` runs it here through the real runner, ``WorkerProcess`` is a real worker."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from django.db import connection
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.models import OrmQ

from rft_project.jobs import bell, runner, services, sweep
from rft_project.jobs.context import SLICE_SECONDS
from rft_project.jobs.models import Job, State

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent


def drain(limit: int = 1000, *, patience: float = 0.0, jump: bool = False, slice_seconds: float = SLICE_SECONDS) -> int:
    """Run what is queued, oldest first, as a worker would; returns the number of messages taken.

    Parked jobs are woken when they are due; ``patience`` waits that many seconds for them in all, ``jump`` wakes
    them without waiting. Stops after ``limit`` messages, so a job that never ends fails its test instead of hanging.
    """
    taken, ends_at = 0, time.monotonic() + patience
    while taken < limit:
        sweep.wake_due(timezone.now())
        message = OrmQ.objects.order_by("pk").first()
        if message is not None:
            _deliver(message, slice_seconds)
            taken += 1
        elif jump and Job.objects.filter(state=State.WAITING).exists():
            for parked in Job.objects.filter(state=State.WAITING):
                services.wake(parked.pk)
        elif time.monotonic() < ends_at and Job.objects.filter(state=State.WAITING).exists():
            time.sleep(0.05)
        else:
            break
    return taken


def _deliver(message: OrmQ, slice_seconds: float = SLICE_SECONDS) -> None:
    task = message.task
    if task["func"] == bell.RUN_TASK:
        runner.run(*task["args"], slice_seconds=slice_seconds)  # in this thread only: the test may hold a transaction
    else:
        import_string(task["func"])(*task["args"], **task["kwargs"])
    message.delete()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(condition: Callable[[], T], seconds: float = 20.0, *, every: float = 0.05) -> T:
    """What ``condition`` returns as soon as it is true; fails the test after ``seconds``."""
    ends_at = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < ends_at, f"nothing came of it in {seconds:g} s"
        time.sleep(every)


def database_url() -> str:
    """The test database, as ``DATABASE_URL`` for another process."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    password = f":{quote(database['PASSWORD'], safe='')}" if database["PASSWORD"] else ""
    port = f":{database['PORT']}" if database["PORT"] else ""
    host = quote(database["HOST"], safe="")
    return f"postgres://{quote(database['USER'], safe='')}{password}@{host}{port}/{database['NAME']}"


def child_environment(settings_module: str = "tests.settings", **more: str) -> dict[str, str]:
    """Environment of a process that works on the test database."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": settings_module,
        "DATABASE_URL": database_url(),
        "PYTHONPATH": str(ROOT),
        **more,
    }


def manage(*arguments: str, settings_module: str = "tests.settings", **more: str) -> subprocess.Popen[str]:
    """``manage.py`` in a process and session of its own."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=child_environment(settings_module, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


class WorkerProcess:
    """A ``run_worker`` that a test may hurt."""

    def __init__(self, *arguments: str, settings_module: str = "tests.settings", **more: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "run_worker", *arguments],
            env=child_environment(settings_module, **more),
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def cluster(self) -> int:
        """Process id of the cluster's first process, 0 while there is none; its group has the same number."""
        return next(iter(children(self.pid)), 0)

    def kill(self) -> None:
        """End supervisor and cluster at once."""
        groups = [self.pid, *children(self.pid)]
        for group in groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        self.process.wait()

    def end(self, seconds: float = 15.0) -> int | None:
        """SIGTERM as a service manager would, then the hard way: the exit status, None when it had to be killed."""
        clusters = children(self.pid)
        status: int | None = None
        if self.process.poll() is None:
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self.process.wait(seconds)
        if status is None:
            self.process.kill()
            self.process.wait()
        for group in clusters:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        return status


def _state_and_parent(pid: int) -> tuple[str, int] | None:
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return state, int(parent)


def still_there(pids: Iterable[int]) -> list[int]:
    """Those of the processes that live (Linux); a zombie nobody has waited for yet does not."""
    return [pid for pid in pids if (_state_and_parent(pid) or ("Z", 0))[0] != "Z"]


def children(pid: int) -> list[int]:
    """Process ids of the direct children (Linux), oldest first."""
    everyone = sorted(int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return [other for other in everyone if (_state_and_parent(other) or ("Z", 0))[1] == pid and still_there([other])]

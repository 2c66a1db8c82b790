"""Runs training jobs, one at a time and each in a process of its own, so that chat stays alive beside them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import rft_project
from rft_project.engine.records import RUNNING, Job
from rft_project.engine.store import Store

logger = logging.getLogger(__name__)

#: Seconds between two looks at the running process and its job.
_LOOK = 0.2
#: Seconds a cancelled process has to end by itself.
_GRACE = 3.0
#: Seconds before a process that died is started again.
_PAUSE = 1.0
#: Not for the training process: it calls nobody.
_SECRETS = ("ENGINE_KEY", "SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "DATABASE_URL", "OPENAI_API_KEY")


class Supervisor:
    """Starts at once with a job that was running when the engine ended last. ``wake`` when a job came or was ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed, self._closing = threading.Event(), threading.Event()
        # The kernel kills a training process when the thread that started it ends, so there is one thread for all.
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._changed.set()

    def close(self) -> None:
        """Ends the running process; its job goes on when an engine starts on this folder again."""
        self._closing.set()
        self._changed.set()
        self._thread.join(timeout=15)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                job = self._store.next_job()
                if job is not None:
                    self._train(job)
                    continue
            except Exception:
                logger.exception("The supervisor of training jobs stumbled")
                self._closing.wait(_PAUSE)
            self._changed.wait(1.0)
            self._changed.clear()

    def _train(self, job: Job) -> None:
        if not self._store.start(job.id):
            return
        folder = self._store.job_folder(job.id)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "training.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "rft_project.engine.worker", str(self._store.directory), job.id],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=_environment(),
                start_new_session=True,
            )
        try:
            self._watch(job, process)
        finally:
            _end(process)
        ended = self._store.job(job.id)
        if ended is not None and ended.final:
            self._store.clear_resume(job.id)

    def _watch(self, job: Job, process: subprocess.Popen[bytes]) -> None:
        """Until the process ends, or its job is cancelled, or the engine closes."""
        while process.poll() is None:
            self._changed.wait(_LOOK)
            self._changed.clear()
            now = self._store.job(job.id)
            if self._closing.is_set() or now is None or now.status != RUNNING:
                return
        now = self._store.job(job.id)
        if now is not None and now.status == RUNNING:
            logger.warning("The training process of %s ended with %s", job.id, process.returncode)
            message = f"The training process ended unexpectedly ({_ending(process.returncode)}) and is started again."
            self._store.add_event(job.id, f"died-{process.pid}-{now.step}", message, level="warn")
            self._closing.wait(_PAUSE)


def _environment() -> dict[str, str]:
    """The engine's own, without secrets; threads that wait sleep."""
    found = {name: value for name, value in os.environ.items() if name not in _SECRETS}
    root = str(Path(rft_project.__file__).parent.parent)
    path = os.pathsep.join([root, *filter(None, [found.get("PYTHONPATH")])])
    return found | {"PYTHONPATH": path, "OMP_WAIT_POLICY": "passive"}


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"

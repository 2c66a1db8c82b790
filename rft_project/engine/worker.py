"""The training process of one job: ``python -m rft_project.engine.worker DATA_DIR JOB_ID``.

It reads the job from the store, trains, and writes every step back. It ends with the engine that started it: its
standard input is a pipe whose other end only the engine holds, and on Linux the kernel kills it as well.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from graders_app.core.evaluate import GraderError, JailUnavailable, open_grader
from rft_project.engine.base import PolicyCollapsed, StepReport, Trainer, TrainingJob
from rft_project.engine.grading import Grading
from rft_project.engine.models import ModelUnavailable, NoSuchModel, trainer
from rft_project.engine.records import FAILED, RUNNING, SUCCEEDED, Job
from rft_project.engine.store import Store
from rft_project.engine.validation import read_rows
from rft_project.engine.wire import step_data, step_message

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
#: What a job can fail with by itself; the text is a sentence for people.
_REFUSALS = (ValueError, RuntimeError, GraderError, JailUnavailable, ModelUnavailable, NoSuchModel)


def run(store: Store, job: Job) -> None:
    """Trains ``job`` to its end and writes the end down. Returns early where the job was cancelled."""
    try:
        with open_grader(job.method["reinforcement"]["grader"]) as grader:
            collapsed = _train(store, job, Grading(grader), trainer(job.model, store.directory / "models"))
    except Exception as error:
        logger.warning("Job %s failed", job.id, exc_info=True)
        known = isinstance(error, _REFUSALS) and str(error)
        message = str(error) if known else f"Training failed unexpectedly ({type(error).__name__}: {error})."
        store.finish(job.id, FAILED, error={"code": "training_failed", "message": message[:2000], "param": None})
        return
    _end(store, job.id, collapsed)


def _train(store: Store, job: Job, grading: Grading, how: Trainer) -> str:
    """The sentence of a collapse, '' where training ran to its end."""
    method = job.method["reinforcement"]
    task = TrainingJob(
        directory=store.job_folder(job.id),
        model=job.model,
        train_rows=read_rows(store.file_path(job.training_file), "training"),
        valid_rows=read_rows(store.file_path(job.validation_file), "validation"),
        hyperparameters=method.get("hyperparameters") or {},
        seed=job.seed,
        allowed_answers=tuple(method.get("allowed_answers") or ()),
    )
    task.directory.mkdir(parents=True, exist_ok=True)
    try:
        for report in how.train(task, grading):
            if not _record(store, job, report):
                break
    except PolicyCollapsed as error:
        return str(error)
    return ""


def _record(store: Store, job: Job, report: StepReport) -> bool:
    """False where the job does not run any more."""
    metrics = None
    if report.checkpoint is not None:
        named = {"train_mean_reward": report.train_reward, "full_valid_mean_reward": report.valid_reward}
        metrics = {name: value for name, value in named.items() if value is not None}
    data = step_data(report, job.method["reinforcement"]["grader"])
    running = store.record_step(job, report.step, report.total_steps, step_message(report), data, metrics)
    if running and report.message:
        store.add_event(job.id, f"step-{report.step}-note", report.message, level=_level(report.level))
    return running


def _level(level: str) -> str:
    return {"warning": "warn"}.get(level, level)


def _end(store: Store, job_id: str, collapsed: str) -> None:
    """A collapsed job succeeds with the checkpoint from before, if one is better than the untrained model."""
    job, best = store.job(job_id), store.best_checkpoint(job_id)
    if job is None or job.status != RUNNING:
        return
    if collapsed:
        store.add_event(job_id, "collapsed", collapsed, level="warn")
    baseline = store.baseline(job_id)
    reward = best.metrics.get("full_valid_mean_reward") if best else None
    improved = reward is not None and (baseline is None or reward > baseline)
    if best is None or (collapsed and not improved):
        message = collapsed or "Training ended without a checkpoint."
        code = "policy_collapsed" if collapsed else "no_checkpoint"
        store.finish(job_id, FAILED, error={"code": code, "message": message, "param": None})
        return
    if not improved and baseline is not None and reward is not None:
        sentence = f"The validation reward did not rise: {reward:.3f} at best, {baseline:.3f} before training."
        store.add_event(job_id, "no-gain", sentence, level="warn")
    chosen = f"The tuned model is the checkpoint of step {best.step}"
    if reward is not None:
        chosen += f", which has the highest validation reward: {reward:.3f}"
    store.add_event(job_id, "chosen", f"{chosen}.")
    store.finish(job_id, SUCCEEDED, model=job.tuned_id)


def end_with_parent() -> None:
    """Makes this process end when the one that started it does."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def wait_for_end() -> None:
        sys.stdin.buffer.read()
        os._exit(1)

    threading.Thread(target=wait_for_end, daemon=True).start()


def main(arguments: list[str]) -> None:
    end_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    store = Store(Path(arguments[0]))
    job = store.job(arguments[1])
    if job is not None and job.status == RUNNING:
        logger.info("Training %s: %s", job.id, json.dumps({"model": job.model, "step": job.step}))
        run(store, job)


if __name__ == "__main__":
    main(sys.argv[1:])

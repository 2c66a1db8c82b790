"""One thread that answers all chat requests, many at once.

Requests that wait for the same model are given to the model together: twelve prompts in one call cost a language model
little more than one. The thread is the only one that touches a model.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from rft_project.engine.base import Completion, Policy, Prompt
from rft_project.engine.models import Library, NoSuchModel, base_model
from rft_project.engine.store import Store

logger = logging.getLogger(__name__)

#: Answers decoded in one call of a model, and how long the first request waits for others to join it.
MOST_ANSWERS = 64
GATHER_SECONDS = 0.01
#: Requests that may wait; more are refused, so that nobody waits for minutes without knowing.
MOST_WAITING = 2048


class Busy(Exception):
    """Too many requests wait already."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answers to one prompt, in order, and its length in tokens."""

    completions: list[Completion]
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class _Request:
    model: str
    prompt: Prompt
    seed: int | None
    future: Future[Answered] = field(default_factory=Future)


class Inference:
    """``submit`` from any thread; ``close`` ends the thread after the batch at hand."""

    def __init__(self, store: Store, models: Path) -> None:
        self._store = store
        self._library = Library(models)
        self._queue: queue.Queue[_Request | None] = queue.Queue(MOST_WAITING)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def submit(self, model: str, prompt: Prompt, seed: int | None = None) -> Future[Answered]:
        """The future fails with NoSuchModel, ModelUnavailable or ValueError, each a sentence. Raises Busy."""
        request = _Request(model, prompt, seed)
        try:
            self._queue.put_nowait(request)
        except queue.Full:
            raise Busy(f"{MOST_WAITING} requests wait already: try again in a few seconds.") from None
        return request.future

    def preload(self, model: str) -> Future[Answered]:
        """Loads ``model`` now; the future fails where that is not possible."""
        return self.submit(model, Prompt([{"role": "user", "content": "Hi"}], max_tokens=1, allowed=("Hi",)))

    def close(self) -> None:
        self._closing.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        waiting: list[_Request] = []
        while not self._closing.is_set():
            if not waiting:
                first = self._queue.get()
                if first is None:
                    return
                waiting = [first]
            if not self._gather(waiting):
                return
            batch = _batch(waiting)
            # Compared by identity: equal requests are different callers.
            taken = {id(request) for request in batch}
            waiting = [request for request in waiting if id(request) not in taken]
            self._answer(batch)

    def _gather(self, waiting: list[_Request]) -> bool:
        """Adds what arrives within the gathering time; False where the thread is to end."""
        until = time.monotonic() + GATHER_SECONDS
        while sum(request.prompt.n for request in waiting) < MOST_ANSWERS:
            try:
                request = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return True
            if request is None:
                return False
            waiting.append(request)
        return True

    def _answer(self, batch: list[_Request]) -> None:
        running = [request for request in batch if request.future.set_running_or_notify_cancel()]
        if not running:
            return
        try:
            policy = self._policy(running[0].model)
            answers = policy.generate([request.prompt for request in running], seed=running[0].seed)
            lengths = [policy.count_tokens(request.prompt.messages) for request in running]
        except Exception as error:
            self._fail(running, error)
            return
        for request, completions, length in zip(running, answers, lengths, strict=True):
            request.future.set_result(Answered(completions, length))

    def _fail(self, batch: list[_Request], error: Exception) -> None:
        """A prompt the model refuses must not take the others of its batch with it: each is tried alone."""
        if len(batch) == 1 or not isinstance(error, ValueError):
            if not isinstance(error, ValueError | NoSuchModel):
                logger.exception("A batch of %d chat requests failed", len(batch))
            for request in batch:
                request.future.set_exception(error)
            return
        for request in batch:
            try:
                policy = self._policy(request.model)
                (completions,) = policy.generate([request.prompt], seed=request.seed)
                request.future.set_result(Answered(completions, policy.count_tokens(request.prompt.messages)))
            except Exception as failure:
                request.future.set_exception(failure)

    def _policy(self, model: str) -> Policy:
        if not model.startswith("ft:"):
            return self._library.base(model)
        found = self._store.find_model(model)
        if found is None:
            raise NoSuchModel(f"There is no tuned model “{model[:200]}” here: it was never made, or was dropped.")
        job, folder = found
        base_model(job.model)
        return self._library.tuned(model, job.model, folder)


def _batch(waiting: list[_Request]) -> list[_Request]:
    """The requests to answer together with the first: same model, same seed, a bounded number of answers."""
    first, answers = waiting[0], 0
    batch: list[_Request] = []
    for request in waiting:
        if (request.model, request.seed) == (first.model, first.seed):
            answers += request.prompt.n
            if batch and answers > MOST_ANSWERS:
                break
            batch.append(request)
    return batch

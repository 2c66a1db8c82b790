"""GRPO on one machine: sample, grade, compare within each prompt, update, validate. Needs torch only to train."""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rft_project.engine.base import Grade, GradedAnswer, PolicyCollapsed, StepReport, TrainingJob
from rft_project.engine.language import runtime
from rft_project.engine.language.checkpoints import Checkpoints, replace_file
from rft_project.engine.language.settings import HYPERPARAMETERS, Settings, is_flat, parse
from rft_project.engine.language.weights import ensure_model
from rft_project.platforms.types import JsonDict

if TYPE_CHECKING:
    from rft_project.engine.language.learner import Learner

__all__ = ["HYPERPARAMETERS", "GrpoTrainer"]

#: A resume state is written at least every so many steps (60 MB, about 0.2 s).
RESUME_INTERVAL = 3
#: Validation prompts answered at each evaluation; more would cost more than the training between two.
MOST_VALIDATION_ROWS = 200
#: Training stops when more than this share of the groups is flat in each of the last steps …
FLAT_SHARE = 0.9
#: … which are this many, or more where they hold fewer groups than that.
FLAT_STEPS = 5
FLAT_GROUPS = 40
#: Mean reward from which such a stop means that the task is solved.
SOLVED_REWARD = 0.9
#: A run that is stuck has failed unless a checkpoint is better than the start by more than this,
IMPROVEMENT = 0.02
#: and has collapsed where its last answers are worse than its best checkpoint by more than this.
FALLEN = 0.15
#: Mean reward up to which the grader found nothing to prefer.
NO_REWARD = 0.02


class GrpoTrainer:
    """Implements ``engine.base.Trainer`` for language models.

    ``job.model`` is the built-in model's id or a folder; converted weights are kept below ``models``. The hyper-
    parameters are those of ``HYPERPARAMETERS``. Reports are yielded once per step, ``step`` 0 first; after a resume
    the steps since the last saved state are run, and reported, again with the same result.
    """

    def __init__(self, models: Path, *, threads: int | None = None) -> None:
        self.models = models
        self.threads = threads

    def train(self, job: TrainingJob, grade: Grade) -> Iterator[StepReport]:
        """Runs or resumes ``job``.

        Raises ValueError on hyperparameters or rows that cannot be used, ModelUnavailable, PolicyCollapsed, and
        RuntimeError where the grader fails on all answers or the gradient overflows; each with a sentence.
        """
        settings = parse(job.hyperparameters)
        _check_rows(job)
        folder = ensure_model(job.model, self.models)
        runtime.prepare(self.threads)
        from rft_project.engine.language.learner import Learner  # noqa: PLC0415 - imports torch

        yield from _Run(job, settings, grade, Learner(folder, settings, job.seed)).reports()


@dataclass(frozen=True, slots=True)
class _Graded:
    """Grades of the answers to some prompts, same nesting as the answers; components are means over all answers."""

    groups: list[list[GradedAnswer]]

    @property
    def rewards(self) -> list[list[float]]:
        return [[g.reward for g in group] for group in self.groups]

    @property
    def mean(self) -> float:
        return _mean([r for group in self.rewards for r in group])

    @property
    def errors(self) -> int:
        return sum(bool(g.error) for group in self.groups for g in group)

    @property
    def components(self) -> dict[str, float]:
        found: dict[str, list[float]] = {}
        for grade in (g for group in self.groups for g in group):
            for name, value in grade.components.items():
                found.setdefault(name, []).append(value)
        return {name: _mean(values) for name, values in found.items()}


class _Run:
    def __init__(self, job: TrainingJob, settings: Settings, grade: Grade, learner: Learner) -> None:
        self.job, self.settings, self.grade, self.learner = job, settings, grade, learner
        self.train_prompts = [learner.encode(row["messages"]) for row in job.train_rows]
        self.valid_rows = _validation_rows(job)
        self.valid_prompts = [learner.encode(row["messages"]) for row in self.valid_rows]
        self.batch = min(settings.prompts_per_step, len(job.train_rows))
        self.window = max(FLAT_STEPS, math.ceil(FLAT_GROUPS / self.batch))
        #: Flat share and mean reward of the last steps.
        self.recent: deque[tuple[float, float]] = deque(maxlen=self.window)
        #: Validation reward before training, or where nothing is validated the training reward of the first step.
        self.start = 0.0
        self.checkpoints = Checkpoints(job.directory / "checkpoints")
        self.state = job.directory / "resume" / "state.pt"

    def reports(self) -> Iterator[StepReport]:
        done = self._resume()
        if done is None:
            done = 0
            yield self._baseline()
            self._save(0)
        for step in range(done + 1, self.settings.steps + 1):
            report = self._step(step)
            yield report
            if report.message:  # nothing left to learn
                return
            # Saved after the report was taken, so that none is lost; after a crash one may come twice.
            if step % RESUME_INTERVAL == 0 or report.checkpoint:
                self._save(step)

    # -- one step -----------------------------------------------------------------------------------------------

    def _baseline(self) -> StepReport:
        start = time.monotonic()
        valid = self._validate()
        self.start = valid.mean if valid else 0.0
        message = ""
        if len(self.valid_rows) < len(self.job.valid_rows):
            message = f"Validation uses {len(self.valid_rows)} of the {len(self.job.valid_rows)} validation prompts."
        return StepReport(
            step=0,
            total_steps=self.settings.steps,
            valid_reward=valid.mean if valid else None,
            components=valid.components if valid else {},
            errors=valid.errors if valid else 0,
            seconds=time.monotonic() - start,
            message=message,
        )

    def _step(self, step: int) -> StepReport:
        start = time.monotonic()
        chosen = self._order(step)
        prompts = [self.train_prompts[i] for i in chosen]
        answers = self.learner.roll_out(prompts, _number(self.job.seed, step))
        graded = self._grade([self.job.train_rows[i] for i in chosen], answers.tokens)
        flat = [is_flat(rewards) for rewards in graded.rewards]
        total = sum(len(a) for group in answers.tokens for a in group)
        bonus = self.settings.entropy_bonus if answers.entropy < self.settings.entropy_target else 0.0
        self.learner.update(step, prompts, answers.tokens, graded.rewards, bonus)
        self.recent.append((_mean([float(f) for f in flat]), graded.mean))
        if step == 1 and not self.valid_rows:
            self.start = graded.mean
        valid, checkpoint, message, level = None, None, "", "info"
        stuck = self._stuck()
        if stuck or step % self.settings.eval_interval == 0 or step == self.settings.steps:
            valid = self._validate()
            record = {"valid_reward": valid.mean if valid else None, "train_reward": graded.mean}
            checkpoint = self.checkpoints.write(step, record, self.learner.save_adapter)
        if stuck:
            message, level = self._last_words(step)
        return StepReport(
            step=step,
            total_steps=self.settings.steps,
            train_reward=graded.mean,
            valid_reward=valid.mean if valid else None,
            components=graded.components,
            flat_share=self.recent[-1][0],
            entropy=answers.entropy,
            answer_tokens=total / (len(prompts) * self.settings.answers_per_prompt),
            seconds=time.monotonic() - start,
            errors=graded.errors + (valid.errors if valid else 0),
            checkpoint=checkpoint,
            message=message,
            level=level,
        )

    def _order(self, step: int) -> list[int]:
        """Training rows of a step: a new random order each time all have been used; the same for the same seed."""
        size = len(self.train_prompts)
        chosen: list[int] = []
        for index in range((step - 1) * self.batch, step * self.batch):
            epoch, place = divmod(index, size)
            order = list(range(size))
            random.Random(_number(self.job.seed, -1 - epoch)).shuffle(order)
            chosen.append(order[place])
        return chosen

    def _validate(self) -> _Graded | None:
        if not self.valid_prompts:
            return None
        answers = self.learner.greedy(self.valid_prompts)
        return self._grade(self.valid_rows, [[answer] for answer in answers])

    def _grade(self, rows: Sequence[JsonDict], answers: Sequence[Sequence[list[int]]]) -> _Graded:
        """Grades every different answer to a row once. Raises RuntimeError where all fail."""
        texts = [[self.learner.completion(tokens).text for tokens in group] for group in answers]
        keys = list(dict.fromkeys((i, text) for i, group in enumerate(texts) for text in group))
        grades = self.grade([(_sample(text), rows[i]) for i, text in keys])
        if all(g.error for g in grades):
            raise RuntimeError(f"Training stopped because the grader failed on every answer: {grades[0].error}")
        found = dict(zip(keys, grades, strict=True))
        return _Graded([[found[i, text] for text in group] for i, group in enumerate(texts)])

    def _stuck(self) -> bool:
        """Whether nearly all groups have been flat for the whole window."""
        return len(self.recent) == self.window and all(flat > FLAT_SHARE for flat, _ in self.recent)

    def _last_words(self, step: int) -> tuple[str, str]:
        """Sentence and level for a run that is stuck. Raises PolicyCollapsed where it is no better than at its start.

        The checkpoint of ``step`` has been written.
        """
        reward = _mean([r for _, r in self.recent])
        seen = f"for {self.window} steps nearly all prompts got answers that scored the same (mean reward {reward:.2f})"
        if reward >= SOLVED_REWARD:
            return f"Solved at step {step}: {seen}, so there is nothing left to learn.", "info"
        best = self.checkpoints.best()
        top = best["valid_reward"] if best else reward
        if top > self.start + IMPROVEMENT:
            kept = f"; the best checkpoint is that of step {best['step']} (validation reward {top:.2f})" if best else ""
            name = "the policy collapsed" if reward < top - FALLEN else "it has settled"
            return f"Stopped at step {step}, {name}: {seen}, so there is nothing left to learn{kept}.", "warn"
        if reward <= NO_REWARD:
            raise PolicyCollapsed(
                f"Stopped at step {step}, no signal: {seen}; add example turns to the prompt or give partial credit."
            )
        raise PolicyCollapsed(
            f"Stopped at step {step}, the policy collapsed: {seen}, no better than before training;"
            " try a lower learning rate, a higher entropy bonus or less partial credit for wrong answers."
        )

    # -- resume -------------------------------------------------------------------------------------------------

    def _save(self, step: int) -> None:
        progress = {
            "step": step,
            "recent": [list(r) for r in self.recent],
            "start": self.start,
            "job": _fingerprint(self.job, self.settings),
        }
        replace_file(self.state, lambda path: self.learner.save(path, progress))

    def _resume(self) -> int | None:
        """The last finished step of an interrupted run, None where there is no state to go on from."""
        if not self.state.is_file():
            return None
        saved = self.learner.read(self.state)
        progress: dict[str, Any] = saved["progress"]
        if progress["job"] != _fingerprint(self.job, self.settings):
            raise ValueError("This job's folder holds the state of another job: start it in an empty folder.")
        self.learner.restore(saved)
        self.recent.extend((flat, reward) for flat, reward in progress["recent"])
        self.start = progress["start"]
        return int(progress["step"])


def _check_rows(job: TrainingJob) -> None:
    if not job.train_rows:
        raise ValueError("There are no training rows: add prompts to train on.")
    for name, rows in (("training", job.train_rows), ("validation", job.valid_rows)):
        for number, row in enumerate(rows, 1):
            messages = row.get("messages")
            if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
                raise ValueError(f"Row {number} of the {name} data has no list of messages.")


def _validation_rows(job: TrainingJob) -> list[JsonDict]:
    if len(job.valid_rows) <= MOST_VALIDATION_ROWS:
        return job.valid_rows
    chosen = random.Random(job.seed).sample(range(len(job.valid_rows)), MOST_VALIDATION_ROWS)
    return [job.valid_rows[i] for i in sorted(chosen)]


def _sample(text: str) -> JsonDict:
    """What graders see of an answer, with the keys the reinforcement fine-tuning API gives them."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    message = {"role": "assistant", "content": text}
    return {"output_text": text, "output_json": parsed, "output_tools": [], "choices": [{"message": message}]}


def _fingerprint(job: TrainingJob, settings: Settings) -> str:
    content = [job.model, job.seed, repr(settings), job.train_rows, job.valid_rows]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _number(seed: int, part: int) -> int:
    """A seed for one part of a run, unrelated to those of other parts."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{part}".encode()).digest()[:6], "big")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0

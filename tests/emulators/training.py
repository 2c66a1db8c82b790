"""What a platform does with rows and a grader, whatever its wire looks like: a policy learns step by step."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graders_app.core.evaluate import GraderResult, Pair

from .policy import Policy, Reply, words_of

Json = dict[str, Any]
#: Scores a batch of (sample, item); a platform with a grader of another kind gives another one.
Grade = Callable[[Sequence[Pair]], list[GraderResult]]

#: Answers per prompt and step, and the least number of steps, where the job says "auto".
SAMPLES = 8
STEPS = 12
EVERY = 4
RATE = 1.0


@dataclass(frozen=True)
class Settings:
    """Hyperparameters as they are used once "auto" is decided."""

    batch: int
    steps: int
    every: int
    samples: int
    valid_samples: int
    rate: float

    @classmethod
    def of(cls, given: Json, rows: int) -> Settings:
        """``given`` by OpenAI's names, each a number or "auto"."""
        chosen = {name: value for name, value in given.items() if isinstance(value, int | float)}
        batch = int(chosen.get("batch_size", min(rows, 32)))
        per_epoch = math.ceil(rows / batch)
        epochs = int(chosen.get("n_epochs", max(2, math.ceil(STEPS / per_epoch))))
        return cls(
            batch=batch,
            steps=per_epoch * epochs,
            every=int(chosen.get("eval_interval", EVERY)),
            samples=max(2, min(64, round(SAMPLES * chosen.get("compute_multiplier", 1)))),
            valid_samples=int(chosen.get("eval_samples", 1)),
            rate=RATE * chosen.get("learning_rate_multiplier", 1.0),
        )


@dataclass(frozen=True)
class Step:
    """One step: the results of its answers, of the validation answers where it has one, and how long each part took."""

    number: int
    total: int
    train: list[GraderResult]
    valid: list[GraderResult] | None
    replies: list[Reply]
    sampling: float
    training: float
    evaluation: float
    train_grading: float
    valid_grading: float

    @property
    def seconds(self) -> float:
        return self.sampling + self.training + self.evaluation


class Lesson:
    """A policy, its rows and its grader. ``step()`` until ``done``; a paused lesson goes on where it stopped."""

    def __init__(self, policy: Policy, train: list[Json], valid: list[Json], settings: Settings, seed: int) -> None:
        self.policy = policy
        self.settings = settings
        self.taken = 0
        self._train = train
        self._valid = valid
        self._dice = random.Random(seed)
        self._order: list[Json] = []

    @property
    def done(self) -> bool:
        return self.taken >= self.settings.steps

    def step(self, grade: Grade) -> Step:
        self.taken += 1
        started = time.perf_counter()
        answered = [self._answered(row) for row in self._batch()]
        sampled = time.perf_counter()
        results = grade([(self.policy.replies[i].sample(), row) for row, _, chosen in answered for i in chosen])
        graded = time.perf_counter()
        rest = iter(results)
        for _, words, chosen in answered:
            rewards = [next(rest).reward or 0.0 for _ in chosen]
            self.policy.learn(words, chosen, rewards, self.settings.rate)
        learned = time.perf_counter()
        last = self.done
        valid = self._validated(grade) if self.taken % self.settings.every == 0 or last else None
        evaluated = time.perf_counter()
        return Step(
            number=self.taken,
            total=self.settings.steps,
            train=results,
            valid=valid,
            replies=[self.policy.replies[i] for _, _, chosen in answered for i in chosen],
            sampling=graded - started,
            training=learned - graded,
            evaluation=evaluated - learned,
            train_grading=graded - sampled,
            valid_grading=evaluated - learned,
        )

    def _batch(self) -> list[Json]:
        """The next rows; each epoch goes through all of them in an order of its own."""
        if not self._order:
            self._order = self._dice.sample(self._train, len(self._train))
        batch, self._order = self._order[: self.settings.batch], self._order[self.settings.batch :]
        return batch

    def _answered(self, row: Json) -> tuple[Json, list[str], list[int]]:
        words = words_of(row["messages"])
        return row, words, self.policy.draw(words, self.settings.samples, self._dice)

    def _validated(self, grade: Grade) -> list[GraderResult]:
        pairs = []
        for row in self._valid:
            words = words_of(row["messages"])
            if self.settings.valid_samples == 1:
                pairs.append((self.policy.best(words).sample(), row))
                continue
            drawn = self.policy.draw(words, self.settings.valid_samples, self._dice)
            pairs += [(self.policy.replies[i].sample(), row) for i in drawn]
        return grade(pairs)

"""Trains the classifier: on-policy group-relative policy gradient in numpy. Survives ``kill -9`` at any moment."""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rft_project.engine.base import Grade, GradedAnswer, PolicyCollapsed, StepReport, TrainingJob
from rft_project.engine.classifier import (
    FEATURES,
    Floats,
    Weights,
    features,
    probabilities,
    prompt_text,
    training_answers,
)
from rft_project.engine.hyperparameters import ANSWERS_PER_PROMPT, PROMPTS_PER_STEP, checked, eval_interval
from rft_project.engine.language.checkpoints import Checkpoints, replace_file
from rft_project.platforms.static_embeddings import embed
from rft_project.platforms.types import Bound

HYPERPARAMETERS: dict[str, Bound] = {
    "steps": Bound(
        default=300,
        minimum=1,
        maximum=5000,
        integer=True,
        label="Steps",
        help="How many times a batch of prompts is answered and the classifier is updated once.",
    ),
    "learning_rate": Bound(
        default=0.03,
        minimum=1e-4,
        maximum=0.5,
        label="Learning rate",
        help="Size of each update; lower it if the reward jumps about.",
    ),
    "prompts_per_step": PROMPTS_PER_STEP,
    "answers_per_prompt": ANSWERS_PER_PROMPT,
    "eval_interval": eval_interval(25),
}

#: Steps over which "all answers score alike" is judged, and what counts as such.
FLAT_STEPS = 10
FLAT_SHARE = 0.9
#: Share of the highest possible entropy, ln(number of answers), under which the policy has made up its mind. Above it
#: equal scores only mean that no good answer has been hit on yet.
SETTLED_ENTROPY = 0.3
SOLVED_REWARD = 0.9
#: Seconds between two saved resume states.
_SAVE_EVERY = 0.5
_ADAM = (0.9, 0.99, 1e-6)
_TOLERANCE = 1e-9

Integers = npt.NDArray[np.intp]


@dataclass(slots=True)
class _State:
    """All that changes while training; what ``resume`` holds."""

    generator: np.random.Generator
    matrix: Floats
    first: Floats
    second: Floats
    step: int = 0
    flat: deque[float] = field(default_factory=lambda: deque(maxlen=FLAT_STEPS))
    rewards: deque[float] = field(default_factory=lambda: deque(maxlen=FLAT_STEPS))

    def save(self, path: Path) -> None:
        about = {
            "step": self.step,
            "generator": self.generator.bit_generator.state,
            "flat": list(self.flat),
            "rewards": list(self.rewards),
        }
        told = np.array(json.dumps(about))

        def write(target: Path) -> None:
            # To the open file: savez would add its own suffix to a name.
            with target.open("wb") as stream:
                np.savez(stream, about=told, matrix=self.matrix, first=self.first, second=self.second)

        replace_file(path, write)

    @classmethod
    def load(cls, path: Path, answers: int, seed: int) -> _State:
        """The saved state, or a fresh one where there is none."""
        zeros = np.zeros((FEATURES, answers), np.float32)
        state = cls(np.random.default_rng(seed), zeros, zeros.copy(), zeros.copy())
        if path.is_file():
            with np.load(path, allow_pickle=False) as arrays:
                about = json.loads(str(arrays["about"]))
                state.matrix, state.first, state.second = arrays["matrix"], arrays["first"], arrays["second"]
            state.generator.bit_generator.state = about["generator"]
            state.step = about["step"]
            state.flat.extend(about["flat"])
            state.rewards.extend(about["rewards"])
        return state


class ClassifierTrainer:
    """See :class:`rft_project.engine.base.Trainer`. One object per job; ``train`` runs once."""

    def train(self, job: TrainingJob, grade: Grade) -> Iterator[StepReport]:
        """Raises ValueError on rows or settings it can't use, PolicyCollapsed where one answer took over, RuntimeError
        where the grader fails on every answer; each with a sentence."""
        yield from _Run(job, grade).reports()


class _Run:
    def __init__(self, job: TrainingJob, grade: Grade) -> None:
        self.job, self.grade = job, grade
        self.settings = checked(HYPERPARAMETERS, job.hyperparameters)
        if not job.train_rows or not job.valid_rows:
            raise ValueError("Training needs at least one training row and one validation row.")
        self.answers = training_answers(job.train_rows, job.allowed_answers)
        train = embed([prompt_text(row["messages"]) for row in job.train_rows])
        self.centre = train.mean(axis=0)
        self.train_vectors = features([prompt_text(row["messages"]) for row in job.train_rows], self.centre)
        self.valid_vectors = features([prompt_text(row["messages"]) for row in job.valid_rows], self.centre)
        self.checkpoints = Checkpoints(job.directory / "checkpoints")
        self.resume = job.directory / "resume" / "state.npz"
        self.state = _State.load(self.resume, len(self.answers), job.seed)
        self.saved_at = time.monotonic()

    def reports(self) -> Iterator[StepReport]:
        total = self.settings["steps"]
        if self.state.step == 0:
            yield self._validated({}, 0.0)
        while self.state.step < total:
            started = time.monotonic()
            measured = self._step()
            self.state.step += 1
            ending = self._ending(measured)
            if self.state.step % self.settings["eval_interval"] == 0 or self.state.step == total or ending:
                yield self._validated(measured | {"message": ending}, started)
            else:
                yield StepReport(step=self.state.step, total_steps=total, seconds=_since(started), **measured)
            if ending:
                return
            # After the report was taken: a step is told twice after a kill, never skipped.
            if time.monotonic() - self.saved_at > _SAVE_EVERY:
                self.state.save(self.resume)
                self.saved_at = time.monotonic()

    def _step(self) -> dict[str, Any]:
        """One update; the measured values by their names in StepReport."""
        state, settings = self.state, self.settings
        rows = len(self.job.train_rows)
        picked = state.generator.choice(rows, size=min(settings["prompts_per_step"], rows), replace=False)
        chances = probabilities(self.train_vectors[picked] @ state.matrix)
        draws = state.generator.random((len(picked), settings["answers_per_prompt"], 1))
        chosen = (draws > chances.cumsum(axis=1)[:, None]).sum(axis=2).clip(0, len(self.answers) - 1)
        graded = self._graded(self.job.train_rows, np.repeat(picked, chosen.shape[1]), chosen.ravel())
        rewards = np.array([g.reward for g in graded]).reshape(chosen.shape)
        advantages = rewards - rewards.mean(axis=1, keepdims=True)
        pull = -advantages.sum(axis=1)[:, None] * chances
        np.add.at(pull, (np.arange(len(picked))[:, None], chosen), advantages)
        self._update(self.train_vectors[picked].T @ pull.astype(np.float32) / len(picked))
        spread = rewards.max(axis=1) - rewards.min(axis=1)
        state.flat.append(float((spread < _TOLERANCE).mean()))
        state.rewards.append(float(rewards.mean()))
        self.last_chosen = chosen
        return {
            "train_reward": float(rewards.mean()),
            "components": _components(graded),
            "flat_share": state.flat[-1],
            "entropy": float(-(chances * np.log(np.maximum(chances, 1e-12))).sum(axis=1).mean()),
            "answer_tokens": 1.0,
            "errors": sum(1 for g in graded if g.error),
        }

    def _update(self, gradient: Floats) -> None:
        state, (slow, slower, tiny) = self.state, _ADAM
        count = state.step + 1
        state.first = slow * state.first + (1 - slow) * gradient
        state.second = slower * state.second + (1 - slower) * gradient**2
        direction = (state.first / (1 - slow**count)) / (np.sqrt(state.second / (1 - slower**count)) + tiny)
        state.matrix = (state.matrix + self.settings["learning_rate"] * direction).astype(np.float32)

    def _graded(self, rows: Sequence[dict[str, Any]], prompts: Integers, chosen: Integers) -> list[GradedAnswer]:
        """Each different (prompt, answer) is graded once."""
        pairs = list(zip(prompts.tolist(), chosen.tolist(), strict=True))
        distinct = list(dict.fromkeys(pairs))
        results = self.grade([({"output_text": self.answers[answer]}, rows[row]) for row, answer in distinct])
        if all(result.error for result in results):
            raise RuntimeError(f"Training stopped because the grader failed on every answer: {results[0].error}")
        by_pair = dict(zip(distinct, results, strict=True))
        return [by_pair[pair] for pair in pairs]

    def _validated(self, measured: dict[str, Any], started: float) -> StepReport:
        """Greedy answers to all validation prompts, and a checkpoint (not at step 0: that is the base)."""
        began = started or time.monotonic()
        scores = self.valid_vectors @ self.state.matrix
        chosen = self._untrained_guesses() if self.state.step == 0 else scores.argmax(axis=1)
        graded = self._graded(self.job.valid_rows, np.arange(len(chosen)), chosen)
        reward = float(np.mean([g.reward for g in graded]))
        weights = Weights(self.answers, self.state.matrix, self.centre)
        record = {"valid_reward": reward}
        step = self.state.step
        return StepReport(
            step=step,
            total_steps=self.settings["steps"],
            valid_reward=reward,
            checkpoint=self.checkpoints.write(step, record, weights.save) if step else None,
            seconds=_since(began),
            **{"components": _components(graded), **measured},
        )

    def _untrained_guesses(self) -> Integers:
        """Spread evenly over the answers, as the untrained policy guesses."""
        count = len(self.job.valid_rows)
        return np.random.default_rng(self.job.seed).permutation(np.arange(count) % len(self.answers))

    def _ending(self, measured: dict[str, Any]) -> str:
        """A sentence where nothing is left to learn, else ''."""
        state = self.state
        undecided = measured["entropy"] > SETTLED_ENTROPY * math.log(max(2, len(self.answers)))
        if len(state.flat) < FLAT_STEPS or min(state.flat) < FLAT_SHARE or undecided:
            return ""
        reward = math.fsum(state.rewards) / len(state.rewards)
        if reward >= SOLVED_REWARD:
            return f"Solved: the last {FLAT_STEPS} steps scored {reward:.2f} on average, so training ended early."
        counts = np.bincount(self.last_chosen.ravel(), minlength=len(self.answers))
        if counts.max() >= FLAT_SHARE * counts.sum():
            answer = self.answers[int(counts.argmax())]
            raise PolicyCollapsed(
                f"The policy collapsed at step {state.step}: it answers “{answer[:80]}” to nearly every prompt. "
                "Lower the learning rate, or give less credit to wrong answers."
            )
        return (
            f"Nothing left to learn: the answers to each prompt scored alike for {FLAT_STEPS} steps "
            f"(mean reward {reward:.2f}), so training ended early."
        )


def _components(graded: Sequence[GradedAnswer]) -> dict[str, float]:
    """Mean of every component over the answers that have it."""
    sums: dict[str, list[float]] = {}
    for answer in graded:
        for name, value in answer.components.items():
            sums.setdefault(name, []).append(value)
    return {name: math.fsum(values) / len(values) for name, values in sums.items()}


def _since(started: float) -> float:
    return time.monotonic() - started

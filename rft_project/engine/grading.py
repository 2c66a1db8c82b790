"""Runs a job's grader on the answers of a trainer, each different (row, answer) once."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graders_app.core.evaluate import Grader, GraderResult, make_item, make_sample
from rft_project.engine.base import GradedAnswer
from rft_project.platforms.types import JsonDict

#: Grades kept in memory; a classifier gives the same few answers over and over.
MOST_KEPT = 200_000


class Grading:
    """A ``base.Grade``. A reward is what the grader gives; a failed one counts as 0.0 and carries its error.

    Grades are remembered for the life of the object: a grader that is not deterministic is asked once per answer.
    Errors are not remembered, since a time-out may pass.
    """

    def __init__(self, grader: Grader) -> None:
        self._grader = grader
        self._known: dict[tuple[int, str], GradedAnswer] = {}
        # Keeps the rows alive, so that an id stays the id of one row.
        self._rows: dict[int, tuple[JsonDict, JsonDict]] = {}

    def __call__(self, pairs: Sequence[tuple[JsonDict, JsonDict]]) -> list[GradedAnswer]:
        keys = [(id(row), str(sample.get("output_text") or "")) for sample, row in pairs]
        missing = {key: row for key, (_, row) in zip(keys, pairs, strict=True) if key not in self._known}
        asked = [(make_sample(text), self._item(row)) for (_, text), row in missing.items()]
        fresh = dict(zip(missing, map(_graded, self._grader.grade_many(asked)), strict=True)) if asked else {}
        result = [self._known.get(key) or fresh[key] for key in keys]
        if len(self._known) + len(fresh) > MOST_KEPT:
            self._known.clear()
        self._known.update({key: grade for key, grade in fresh.items() if not grade.error})
        return result

    def _item(self, row: JsonDict) -> JsonDict:
        if id(row) not in self._rows:
            fields = {name: value for name, value in row.items() if name != "messages"}
            self._rows[id(row)] = (row, make_item(fields, row["messages"], None))
        return self._rows[id(row)][1]


def _graded(result: GraderResult) -> GradedAnswer:
    """The components of a single grader are the reward itself, so only those of a multi grader are kept."""
    components = result.sub_rewards if len(result.sub_rewards) > 1 else {}
    if result.reward is None or not math.isfinite(result.reward):
        return GradedAnswer(0.0, components, result.errors[0].message if result.errors else "The grader gave no score.")
    return GradedAnswer(result.reward, components)

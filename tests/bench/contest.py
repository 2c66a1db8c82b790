"""Two contestants, turn by turn on the same work; what counts is the ratio of their CPU seconds.

Absolute times drift with whatever else a machine does; two runs right after each other see the same machine, so each
pair gives a ratio, and the median of the pairs is the figure.
"""

from __future__ import annotations

import json
import operator
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


class Unequal(Exception):
    """Two contestants did not do the same work: their figures mean nothing."""


@dataclass(frozen=True)
class Run:
    """One run of one contestant. ``cpu`` includes the database server's, which ``server`` gives alone."""

    cpu: float
    server: float
    wall: float
    result: Any


@dataclass(frozen=True)
class Contest:
    ours: list[Run]
    theirs: list[Run]

    @property
    def ratios(self) -> list[float]:
        return [a.cpu / b.cpu for a, b in zip(self.ours, self.theirs, strict=True)]

    @property
    def ratio(self) -> float:
        return median(self.ratios)


def once(task: str, environment: dict[str, str] | None = None, **arguments: Any) -> Run:
    """Run ``module:function`` (see ``child``) and read what it measured."""
    argv = [sys.executable, "-m", "tests.bench.child", task, json.dumps(arguments)]
    done = subprocess.run(
        argv, cwd=ROOT, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return Run(found["cpu"] + found["server"], found["server"], found["wall"], found["result"])


def contest(
    ours: Callable[[], Run],
    theirs: Callable[[], Run],
    pairs: int,
    *,
    same: Callable[[Any, Any], bool] = operator.eq,
    tell: Callable[[str], None],
) -> Contest:
    """``pairs`` times ours, then theirs. Raises Unequal where their results are not the ``same``."""
    result = Contest([], [])
    for number in range(pairs):
        result.ours.append(ours())
        result.theirs.append(theirs())
        mine, other = result.ours[-1], result.theirs[-1]
        if not same(mine.result, other.result):
            raise Unequal(f"not the same work\nours:   {str(mine.result)[:500]}\ntheirs: {str(other.result)[:500]}")
        tell(f"pair {number + 1}: {mine.cpu:.2f} / {other.cpu:.2f} CPU s = {mine.cpu / other.cpu:.3f}")
    return result

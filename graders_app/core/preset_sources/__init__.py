"""The python parts of presets, as files that run by themselves: ``load_source`` fills in what a dataset knows.

They use the standard library alone, because they run on every platform that takes a python grader.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from pprint import pformat
from typing import Any

_HERE = Path(__file__).parent


@cache
def _text(name: str) -> str:
    return (_HERE / f"{name}.py").read_text(encoding="utf-8")


def load_source(name: str, **constants: Any) -> str:
    """The source called ``name`` with its constants set: ``load_source("brevity", TARGET_CHARS=200)``.

    Values are written as Python literals. Raises ValueError for a constant that the source does not have.
    """
    source = _text(name)
    for constant, value in constants.items():
        written = f"{constant} = {pformat(value, width=100, sort_dicts=False)}"
        source, count = re.subn(rf"(?m)^{constant} = .*$", lambda _, w=written: w, source, count=1)  # type: ignore[misc]
        if not count:
            raise ValueError(f"the source {name!r} has no constant {constant}")
    return source

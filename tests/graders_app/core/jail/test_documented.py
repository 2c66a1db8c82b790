"""docs/sandbox.md says what the code does."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from graders_app.core.jail import DEFAULT_POLICY, Limits

ROOT = Path(__file__).resolve().parents[4]
TEXT = (ROOT / "docs" / "sandbox.md").read_text()


def test_its_table_of_libraries_is_the_list():
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", TEXT, re.M))
    pinned = dict(re.findall(r"^([\w-]+)(?:\[\w+\])?==(\S+)", (ROOT / "requirements.txt").read_text(), re.M))
    names = {"sklearn": "scikit-learn"}

    assert set(rows) == {name for name in DEFAULT_POLICY.allowed if name.split(".")[0] not in sys.stdlib_module_names}
    told = {name: version for name, version in rows.items() if names.get(name, name) in pinned}
    assert {name: version.split(",")[0] for name, version in told.items()} == {
        name: pinned[names.get(name, name)] for name in told
    }


def test_its_limits_are_those_in_force():
    limits = Limits()
    told = (f"{limits.wall_seconds:g} s", f"{limits.load_seconds:g} s / {limits.boot_seconds:g} s (15 s on a page)")

    assert re.findall(r"^\| time (?:per answer|to load the source / its libraries) \| ([^|]+) \|", TEXT, re.M) == list(
        told
    )
    assert f"| memory | {limits.memory_bytes >> 20} MB above" in TEXT

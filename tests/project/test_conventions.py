"""House rules that no linter knows; each failure names the offender."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ["rft_project", "datasets_app", "graders_app", "wizard_app"]
SOURCES = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts
)
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


def names(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.end_lineno - node.lineno + 1


def test_modules_stay_under_400_lines():
    long = {names(p): n for p in SOURCES if (n := len(p.read_text(encoding="utf-8").splitlines())) > 400}
    assert long == {}


def test_functions_stay_under_60_lines():
    long = {f"{names(p)}:{name}": n for p in SOURCES for name, n in functions(p) if n > 60}
    assert long == {}


def test_views_stay_under_30_lines():
    views = [p for p in SOURCES if "views" in p.parts]
    long = {f"{names(p)}:{name}": n for p in views for name, n in functions(p) if n > 30}
    assert long == {}


def test_partials_stay_under_60_lines():
    partials = [p for p in TEMPLATES if p.name.startswith("_")]
    long = {names(p): n for p in partials if (n := len(p.read_text(encoding="utf-8").splitlines())) > 60}
    assert long == {}


def test_each_of_our_own_scripts_stays_under_150_lines():
    scripts = sorted((ROOT / "static").rglob("*.js"))
    long = {names(p): n for p in scripts if (n := len(p.read_text(encoding="utf-8").splitlines())) > 150}
    assert long == {}


def test_views_reach_rows_through_access_functions_only():
    views = [p for p in SOURCES if "views" in p.parts]
    found = [names(p) for p in views if re.search(r"\.objects\.get\(|get_object_or_404", p.read_text(encoding="utf-8"))]
    assert found == []


def test_saves_name_their_fields():
    """A bare ``save()`` on a row that exists writes back what another process changed meanwhile."""
    bare = re.compile(r"\b(?!form|connection)(\w+)\.save\(\)")
    found = [f"{names(p)}: {m.group(0)}" for p in SOURCES for m in bare.finditer(p.read_text(encoding="utf-8"))]
    assert found == []


def test_no_row_locks_that_sqlite_ignores():
    found = [names(p) for p in SOURCES if "select_for_update" in p.read_text(encoding="utf-8")]
    assert found == []


def test_modules_postpone_annotations():
    found = [
        names(p)
        for p in SOURCES
        if p.parent.name != "preset_sources"  # graders as people write them
        and (text := p.read_text(encoding="utf-8")).strip()
        and "from __future__ import annotations" not in text
    ]
    assert found == []


@pytest.mark.parametrize("word", ["|safe", "autoescape off", "mark_safe"])
def test_trace_content_is_never_trusted_as_html(word):
    found = [names(p) for p in TEMPLATES if word in p.read_text(encoding="utf-8")]
    assert found == []

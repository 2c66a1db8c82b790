from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from rapidfuzz import utils

from graders_app.core.compiling.bundle import LAMBDA_MODULES, PACKAGE, licences, modules

SHIPPED = modules(LAMBDA_MODULES)


def test_fuzzy_match_prepares_texts_as_the_compiled_library_does():
    """Every character of the Latin, Greek, Cyrillic, Arabic and East Asian scripts, and a sigma at a word's end."""
    space: dict = {}
    exec(SHIPPED["rapidfuzz/utils_py"], space)
    prepare = space["default_process"]
    for points in (range(0x870), range(0x3000, 0x9FF0), range(0xAC00, 0xD7A4)):
        for text in (f"a{chr(point)}B" for point in points):
            assert prepare(text) == utils.default_process(text), ascii(text)
    assert prepare(" ΟΔΟΣ, İstanbul_x ") == utils.default_process(" ΟΔΟΣ, İstanbul_x ")


@pytest.mark.parametrize("path", SHIPPED)
def test_what_is_shipped_imports_the_standard_library_and_itself_alone(path):
    wanted = set()
    for node in ast.walk(ast.parse(SHIPPED[path])):
        if isinstance(node, ast.Import):
            wanted |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            wanted.add((node.module or "").split(".")[0])
    assert wanted <= sys.stdlib_module_names | {PACKAGE}


def test_the_engines_own_modules_are_shipped_as_they_are():
    core = Path(__file__).resolve().parents[4] / "graders_app" / "core"
    for name in ("bleu", "formula", "templates", "judgement"):
        assert SHIPPED[name] == (core / f"{name}.py").read_text(encoding="utf-8")


def test_the_licences_of_what_is_taken_go_along():
    texts = licences()
    assert texts["LICENSE-rapidfuzz.txt"].startswith("Copyright")
    assert "Apache License" in texts["LICENSE-nltk.txt"]

"""One live region = one partial = one view = one URL name = one DOM id, all spelled the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver, path

REGION = re.compile(r"(?:^|/)regions/(?:.*/)?(\w+)/$")


def walk(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in patterns:
        where = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from walk(entry.url_patterns, where)
        else:
            yield where, entry


def offences(patterns: list[Any], templates: Path) -> list[str]:
    """One sentence for each name that differs."""
    found = []
    for where, entry in walk(patterns):
        match = REGION.search(where)
        if not match:
            continue
        name = match[1]
        if entry.name != name:
            found.append(f"{where}: the URL is named {entry.name}")
        if entry.callback.__name__ != name:
            found.append(f"{where}: the view is named {entry.callback.__name__}")
        partial = templates / entry.callback.__module__.split(".")[0] / f"_{name}.html"
        if not partial.is_file():
            found.append(f"{where}: there is no {partial.relative_to(templates)}")
        elif f'id="{name}"' not in partial.read_text(encoding="utf-8"):
            found.append(f"{where}: {partial.relative_to(templates)} has no id {name}")
    return found


def coverage(request: Any) -> None: ...


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "_coverage.html").write_text('<section id="coverage"></section>', encoding="utf-8")
    (folder / "_other.html").write_text('<section id="another"></section>', encoding="utf-8")
    return tmp_path


def test_names_that_agree_are_accepted(templates):
    assert offences([path("<int:pk>/regions/coverage/", coverage, name="coverage")], templates) == []
    assert offences([path("regions/<int:batch>/coverage/", coverage, name="coverage")], templates) == []
    assert offences([path("pages/cov/", coverage, name="x")], templates) == []


def test_names_that_differ_are_found(templates):
    found = offences(
        [path("d/regions/other/", coverage, name="cov"), path("d/regions/none/", coverage, name="none")], templates
    )
    assert found == [
        "d/regions/other/: the URL is named cov",
        "d/regions/other/: the view is named coverage",
        "d/regions/other/: tests/_other.html has no id other",
        "d/regions/none/: the view is named coverage",
        "d/regions/none/: there is no tests/_none.html",
    ]


def test_the_product_spells_each_region_one_way():
    assert offences(get_resolver().url_patterns, settings.BASE_DIR / "templates") == []

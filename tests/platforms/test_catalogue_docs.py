"""The table of platforms in the documentation is the catalogue's; a failing test shows what it should be."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from rft_project.platforms import catalogue
from rft_project.platforms.types import Access, ModelInfo

README = Path(__file__).parents[2] / "docs" / "platforms" / "README.md"
DAY = date(2026, 11, 25)
KINDS = ("local", "openai", "azure", "bedrock", "bedrock_openai")
WORDS = {
    Access.OPEN: "everybody",
    Access.EXISTING: "existing customers",
    Access.INVITATION: "by invitation",
    Access.RETIRED: "nobody any more",
}


def table() -> list[str]:
    lines = ["| platform | model | who can train it | until | rows to train on | regions |", "| --- " * 6 + "|"]
    for kind in KINDS:
        found = catalogue.entry(kind, DAY)
        lines += [f"| {found.label} | {_cells(model)} |" for model in found.models]
    return lines


def _cells(model: ModelInfo) -> str:
    who = WORDS[model.access] + (", in preview" if model.preview else "")
    most = f"{model.max_train_rows:,}" if model.max_train_rows else "no limit known"
    cells = [f"`{model.id}`", who, model.trains_until or "no end known", f"{model.min_rows:,} to {most}"]
    return " | ".join([*cells, ", ".join(model.regions) or "–"])


def test_the_table_is_the_catalogues() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    first = lines.index(table()[0])
    assert lines[first : first + len(table())] == table()


def test_each_platform_has_its_page_or_is_explained_there() -> None:
    text = README.read_text(encoding="utf-8")
    for kind in KINDS:
        assert catalogue.entry(kind).label in text
    for name in ("openai.md", "azure.md", "bedrock.md", "bedrock_openai.md"):
        assert f"]({name})" in text
        assert (README.parent / name).exists()

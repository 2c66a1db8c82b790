"""Base models as dated data, read from ``catalogue.toml``."""

from __future__ import annotations

import tomllib
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from .types import Access, JsonDict, ModelInfo

_FILE = Path(__file__).with_name("catalogue.toml")


class PlatformEntry(BaseModel):
    """What the catalogue knows of one platform. Dates are ISO."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    notice: str = ""
    trains_until: str | None = None
    embedding_model: str = ""
    models: list[ModelInfo] = []


def entry(platform: str, today: date | None = None) -> PlatformEntry:
    """The entry of ``platform``, with ``access`` as it stands on ``today`` (default: the current date).

    A model past its ``retires`` date, and every model past the platform's ``trains_until``, is RETIRED for training.
    Raises KeyError for a platform the catalogue does not have.
    """
    day = (today or date.today()).isoformat()
    found = _read()[platform]
    closed = found.trains_until is not None and day > found.trains_until
    models = [m.model_copy(update={"access": Access.RETIRED}) if closed else dated(m, day) for m in found.models]
    return found.model_copy(update={"models": models})


def dated(model: ModelInfo, day: str) -> ModelInfo:
    """``model`` with access RETIRED where its retirement date is not after ``day`` (ISO)."""
    if model.retires is not None and model.retires <= day:
        return model.model_copy(update={"access": Access.RETIRED})
    return model


@lru_cache(maxsize=1)
def _read() -> dict[str, PlatformEntry]:
    content: JsonDict = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {name: _entry(name, table) for name, table in content.items() if isinstance(table, dict)}


def _entry(name: str, table: dict[str, Any]) -> PlatformEntry:
    models = [ModelInfo(platform=name, **model) for model in table.get("models", [])]
    return PlatformEntry(**{**table, "models": models})

"""Base models as dated data, read from ``catalogue.toml``.

Three things stand above what is written there, in this order: what the platform's own model list says
(:func:`merged`), prices that the operator entered (:func:`with_prices`), and the day on which it is looked at.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from .types import Access, Bound, JsonDict, ModelInfo

_FILE = Path(__file__).with_name("catalogue.toml")
#: Fields of a model that are prices, in US dollars.
PRICES = (
    "usd_per_hour",
    "usd_per_million_tokens",
    "usd_per_million_input_tokens",
    "usd_per_million_output_tokens",
    "usd_per_hosting_hour",
)
#: Tables of settings that all models of a platform share; a model's own entry of the same name wins.
_SHARED = ("hyperparameters", "options", "deploy_options")


class Source(BaseModel):
    """A page that an entry was read from, and when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    url: str = ""
    as_of: str


class PlatformEntry(BaseModel):
    """What the catalogue knows of one platform. Dates are ISO; ``as_of`` is the day it was last looked through."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    as_of: str
    sources: list[Source] = []
    summary: str = ""  # for whom it is, in one sentence
    notice: str = ""
    trains_until: str | None = None
    embedding_model: str = ""
    needs: list[str] = []  # sentences: what a connection takes
    models: list[ModelInfo] = []


def entry(platform: str, today: date | None = None) -> PlatformEntry:
    """The entry of ``platform``, with ``access`` and ``trains_until`` of its models as they stand on ``today``.

    A model past its last day of training, its own or the platform's, is RETIRED. Raises KeyError for a platform the
    catalogue does not have.
    """
    found = _read()[platform]
    models = [_as_on(_closing(model, found), today) for model in found.models]
    return found.model_copy(update={"models": models})


def merged(platform: str, listed: Mapping[str, Mapping[str, Any]], today: date | None = None) -> list[ModelInfo]:
    """The platform's models as an account stands that lists ``listed`` (id to the object of the model list).

    A model the account does not list can't be trained there; the shutdown date it lists wins over ours.
    """
    found = _read()[platform]
    return [_as_on(_closing(_as_listed(model, listed), found), today) for model in found.models]


def dated(model: ModelInfo, day: str) -> ModelInfo:
    """``model`` with access RETIRED where ``day`` (ISO) is past its last day of training."""
    last = last_day(model)
    return model.model_copy(update={"access": Access.RETIRED}) if last is not None and day > last else model


def last_day(model: ModelInfo) -> str | None:
    """The last day on which training can start, as far as dates say: a platform may train existing customers' models
    for longer than it serves the base model, so a ``trains_until`` goes before ``retires``."""
    if model.trains_until is not None or model.retires is None:
        return model.trains_until
    return (date.fromisoformat(model.retires) - timedelta(days=1)).isoformat()


def days_left(model: ModelInfo, today: date | None = None) -> int | None:
    """Days on which training can still be started, today among them; None where no end is known."""
    last = last_day(model)
    return None if last is None else max(0, (date.fromisoformat(last) - (today or date.today())).days + 1)


def with_prices(model: ModelInfo, prices: Mapping[str, float | None], *, as_of: str, source: str) -> ModelInfo:
    """``model`` with other prices (names of :data:`PRICES`; None: not known). Raises KeyError for any other name."""
    unknown = sorted(set(prices) - set(PRICES))
    if unknown:
        raise KeyError(unknown[0])
    return model.model_copy(update={**prices, "price_as_of": as_of, "price_source": source}) if prices else model


def _as_on(model: ModelInfo, today: date | None) -> ModelInfo:
    return dated(model, (today or date.today()).isoformat())


def _closing(model: ModelInfo, platform: PlatformEntry) -> ModelInfo:
    """``model`` with its last day of training written out: its own or the platform's, whichever comes first."""
    ends = [day for day in (last_day(model), platform.trains_until) if day is not None]
    return model.model_copy(update={"trains_until": min(ends)}) if ends else model


def _as_listed(model: ModelInfo, listed: Mapping[str, Mapping[str, Any]]) -> ModelInfo:
    if model.id not in listed:
        return model.model_copy(update={"access": Access.RETIRED})
    shutdown = listed[model.id].get("shutdown_date")
    if not isinstance(shutdown, str):
        return model
    return model.model_copy(update={"retires": shutdown, "serves_until": None})


@lru_cache(maxsize=1)
def _read() -> dict[str, PlatformEntry]:
    content: JsonDict = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {name: _entry(name, table, content) for name, table in content.items() if "label" in table}


def _entry(name: str, table: JsonDict, content: JsonDict) -> PlatformEntry:
    """``every`` holds what all its models share, ``shared.<name>`` tables of settings that several platforms do."""
    every: JsonDict = table.get("every", {})
    models = [ModelInfo(platform=name, **_inherited(model, every, content["shared"])) for model in table["models"]]
    own = {key: value for key, value in table.items() if key != "every"}
    return PlatformEntry(**{**own, "models": models})


def _inherited(model: JsonDict, every: JsonDict, shared: JsonDict) -> JsonDict:
    found: JsonDict = {**every, **model}
    for name in _SHARED:
        bounds: dict[str, Bound] = {}
        for level in (every, model):
            given = level.get(name, {})
            bounds |= shared[given] if isinstance(given, str) else given
        found[name] = bounds
    if not found.get("deployable", True):
        found["deploy_options"] = {}
    return found

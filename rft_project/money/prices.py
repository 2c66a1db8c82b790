"""Looking a price up: what somebody entered goes before the catalogue, and what neither knows is None."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from rft_project.connections.models import AuditEntry, Connection, Workspace
from rft_project.platforms.catalogue import entry
from rft_project.platforms.types import ModelInfo

from .models import Price

UNKNOWN = "not known"
#: Fields of a price -> what they are of, for people.
FIELDS = {
    "input": "million input tokens",
    "output": "million output tokens",
    "training_hour": "hour of training",
    "hosting_hour": "hour of a deployment",
}


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """US dollars; None: not known, 0: nothing. ``source`` says who says so."""

    input: float | None = None
    output: float | None = None
    training_hour: float | None = None
    hosting_hour: float | None = None
    source: str = UNKNOWN

    def tokens(self, tokens_in: float, tokens_out: float) -> float | None:
        """US dollars for so many tokens; None where a price that is needed is not known."""
        parts = ((tokens_in, self.input), (tokens_out, self.output))
        if any(count and price is None for count, price in parts):
            return None
        return sum(count * (price or 0.0) for count, price in parts) / 1e6


FREE = ModelPrice(0.0, 0.0, 0.0, 0.0, "nothing: it runs on your own machine")


def price_of(workspace: Workspace, kind: str, model: str, base: str = "") -> ModelPrice:
    """What ``model`` costs there; where nothing is known of it, what its ``base`` does.

    Each figure comes from the first that knows it: the workspace, the server, the catalogue.
    """
    if kind == "local":
        return FREE
    names = [name for name in (model, base) if name]
    entered = Price.objects.filter(Q(workspace=workspace) | Q(workspace=None), kind=kind, model__in=names)
    rows = sorted(entered, key=lambda row: (names.index(row.model), row.workspace_id is None))
    listed = {info.id: info for info in _listed(kind)}
    known = [_of_catalogue(listed[name]) for name in names if name in listed]
    told = [(_of_row(row), f"entered on {row.entered_at:%Y-%m-%d}") for row in rows]
    values: dict[str, float | None] = dict.fromkeys(FIELDS)
    sources: list[str] = []
    for found, source in [*told, *known]:
        fresh = {name: value for name, value in found.items() if value is not None and values[name] is None}
        values |= fresh
        sources += [source] if fresh else []
    return ModelPrice(**values, source="; ".join(dict.fromkeys(sources)) or UNKNOWN)


def priced(connection: Connection, model: str, base: str = "") -> ModelPrice:
    return price_of(connection.workspace, connection.kind, model, base)


def enter(
    workspace: Workspace | None, kind: str, model: str, values: dict[str, float | None], *, by: Any
) -> Price | None:
    """Store what somebody knows of ``model``; with nothing in it the entry is taken away."""
    given = {name: values.get(name) for name in FIELDS}
    where: dict[str, Any] = {"workspace": workspace, "kind": kind, "model": model}
    AuditEntry.write(
        "enter price", f"{model} ({kind})", workspace=workspace, actor=by, detail=_detail(given) or "taken away"
    )
    if all(value is None for value in given.values()):
        Price.objects.filter(**where).delete()
        return None
    made, _ = Price.objects.update_or_create(**where, defaults={**given, "entered_by": by})
    return made


def _detail(values: dict[str, float | None]) -> str:
    return ", ".join(f"${value:g} per {FIELDS[name]}" for name, value in values.items() if value is not None)


def _listed(kind: str) -> list[ModelInfo]:
    try:
        return entry(kind).models
    except KeyError:
        return []


def _of_row(row: Price) -> dict[str, float | None]:
    found = {name: getattr(row, name) for name in FIELDS}
    return {name: None if value is None else float(value) for name, value in found.items()}


def _of_catalogue(info: ModelInfo) -> tuple[dict[str, float | None], str]:
    values = {
        "input": info.usd_per_million_input_tokens,
        "output": info.usd_per_million_output_tokens,
        "training_hour": info.usd_per_hour,
        "hosting_hour": info.usd_per_hosting_hour,
    }
    said = info.price_source.rstrip(".") or "the catalogue"
    return values, f"{said} ({info.price_as_of})" if info.price_as_of else said

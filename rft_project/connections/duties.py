"""Who does what in a workspace: which connection's model has which role, and what each connection may do at all."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import groupby

from rft_project.platforms.catalogue import entry

from .models import Connection, Workspace
from .services import PERMISSIONS, ROLES, SINGLE, is_emulated, is_own_engine

TITLES = {"helper": "Helper", "judge": "Judge", "embedding": "Embeddings"}
#: What happens where nobody has the role.
NOBODY = {
    "helper": "Nobody: topics get their names from their words, and doubtful records wait for you.",
    "judge": "Nobody: graders that ask a model can't score yet.",
    "embedding": "This server's own small models, which cost nothing.",
}
#: Kinds that never train.
_UNTRAINED = ("compatible",)


@dataclass(frozen=True)
class Holder:
    """A connection with a model that has the role."""

    connection: Connection
    model: str
    emulated: bool


@dataclass(frozen=True)
class Duty:
    """One role. ``suggested``: pairs of a listed model and the connections that list it."""

    name: str
    title: str
    sentence: str
    nobody: str
    holders: list[Holder]
    suggested: list[tuple[str, str]]
    single: bool


@dataclass(frozen=True)
class Work:
    """Something connections may do: pairs of a connection and whether it may."""

    name: str
    title: str
    sentence: str
    connections: list[tuple[Connection, bool]]


@dataclass(frozen=True)
class Table:
    """One workspace. ``named``: the person has several; ``able``: connections that can take a role."""

    workspace: Workspace
    owned: bool
    named: bool
    able: list[Connection]
    duties: list[Duty]
    works: list[Work]


def tables(connections: Iterable[Connection], owned: Collection[int]) -> list[Table]:
    """One for every workspace among ``connections``; asks nobody anything. ``owned``: keys of those that may be
    changed."""
    ordered = sorted(connections, key=lambda one: (one.workspace_id, not is_own_engine(one), one.name))
    grouped = [list(group) for _, group in groupby(ordered, key=lambda one: one.workspace_id)]
    return [_table(group, group[0].workspace_id in owned, len(grouped) > 1) for group in grouped]


def _table(connections: list[Connection], owned: bool, named: bool) -> Table:
    able = [one for one in connections if not is_own_engine(one)]
    works = [
        Work(
            name, work.title, work.sentence, [(one, getattr(one, f"may_{name}")) for one in _workers(connections, name)]
        )
        for name, work in PERMISSIONS.items()
    ]
    return Table(connections[0].workspace, owned, named, able, [_duty(name, able) for name in ROLES], works)


def _workers(connections: list[Connection], work: str) -> list[Connection]:
    return [one for one in connections if work != "train" or one.kind not in _UNTRAINED]


def _duty(role: str, able: list[Connection]) -> Duty:
    models = [(one, getattr(one, f"{role}_model")) for one in able]
    holders = [Holder(one, model, is_emulated(one)) for one, model in models if model]
    listing: dict[str, list[str]] = {}
    for one in able:
        for model in _suitable(role, one):
            listing.setdefault(model, []).append(one.name)
    suggested = [(model, ", ".join(names)) for model, names in sorted(listing.items())]
    return Duty(role, TITLES[role], ROLES[role], NOBODY[role], holders, suggested, role in SINGLE)


def _suitable(role: str, connection: Connection) -> list[str]:
    """What the last good check listed that can have the role, by its name where there is nothing better."""
    listed = connection.abilities.get("models", [])
    if role != "embedding":
        return [model for model in listed if "embed" not in model]
    usual = [entry(connection.kind).embedding_model] if connection.abilities.get("embeds") else []
    return [model for model in dict.fromkeys([*usual, *(m for m in listed if "embed" in m)]) if model]

"""What the page of connections shows, made without calling any platform and without opening a credential."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.utils import timezone

from rft_project.platforms import PLATFORMS
from rft_project.platforms.catalogue import entry
from rft_project.platforms.types import Access

from .duties import Table, tables
from .models import OWNER, Connection, Membership
from .services import PERMISSIONS, is_emulated, is_own_engine


@dataclass(frozen=True)
class Line:
    """One connection. ``owned``: the person may change it; the engine of this server nobody can."""

    connection: Connection
    platform: str
    owned: bool
    own_engine: bool
    emulated: bool
    word: str
    tone: str
    facts: list[str]
    can: str
    limits: list[str]
    paused_until: datetime | None = None

    @property
    def anchor(self) -> str:
        return f"#connection-{self.connection.pk}"


@dataclass(frozen=True)
class Offer:
    """A kind of platform and what training there is like today."""

    kind: str
    label: str
    text: str
    notice: str


@dataclass(frozen=True)
class ConnectionsPanel:
    lines: list[Line]
    tables: list[Table]
    offers: list[Offer]
    may_add: bool

    @property
    def failing(self) -> Line | None:
        return next((line for line in self.lines if line.connection.last_error), None)


def connections_panel(user: Any) -> ConnectionsPanel:
    owned = set(Membership.objects.filter(user=user, role=OWNER).values_list("workspace_id", flat=True))
    found = Connection.objects.filter(workspace__memberships__user=user).select_related("workspace", "pacing")
    several = Membership.objects.filter(user=user).count() > 1
    lines = [_line(connection, connection.workspace_id in owned, several) for connection in found]
    lines.sort(key=lambda line: not line.own_engine)
    by_workspace = tables([line.connection for line in lines], owned)
    return ConnectionsPanel(
        lines, by_workspace, [offer(kind) for kind in sorted(PLATFORMS, key="local".__eq__)], bool(owned)
    )


def _line(connection: Connection, owned: bool, several: bool) -> Line:
    word, tone = "Not checked yet", ""
    if connection.last_error:
        word, tone = "Last check failed", "bad"
    elif connection.checked_at:
        word, tone = "Works", "good"
    own = is_own_engine(connection)
    platform = label_of(connection.kind)
    facts = ["The engine of this server; needs no account and no key" if own else platform]
    facts += [connection.address] if connection.address else []
    facts += [f"key ending …{connection.hint}"] if connection.hint else []
    facts += [f"workspace {connection.workspace}"] if several else []
    limits = [work.title.lower() for name, work in PERMISSIONS.items() if not getattr(connection, f"may_{name}")]
    emulated = is_emulated(connection)
    can, paused = _can(connection.abilities), _paused_until(connection)
    return Line(connection, platform, owned, own, emulated, word, tone, facts, can, limits, paused)


def _paused_until(connection: Connection) -> datetime | None:
    """When calls may be made again, where the platform asked for a wait that is not over."""
    until: datetime | None = connection.pacing.paused_until if hasattr(connection, "pacing") else None
    return until if until is not None and until > timezone.now() else None


def _can(abilities: dict[str, Any]) -> str:
    """What the last good check found, in words; '' before the first one."""
    if not abilities:
        return ""
    answers, trains, closed = abilities["answers"], abilities["trains"], abilities["closed"]
    models = "1 model answers prompts" if answers == 1 else f"{answers:,} models answer prompts"
    if trains:
        return f"{models}. Training: {', '.join(trains)}."
    ended = f" (closed: {', '.join(closed)})" if closed else ""
    return f"{models}. No model can be trained there today{ended}."


def label_of(kind: str) -> str:
    return PLATFORMS[kind][0] if kind in PLATFORMS else kind


def offer(kind: str, today: date | None = None) -> Offer:
    """``kind`` as the dated catalogue describes it on ``today``."""
    described = entry(kind, today)
    if kind == "local":
        text = "An engine like the one of this server on another machine, such as one with a GPU."
        return Offer(kind, "Another local engine", text, "")
    if kind == "compatible":
        text = "Ollama, vLLM, llama.cpp or any other server of chat completions: its models answer prompts and help."
        return Offer(kind, described.label, text, "")
    usable = [m for m in described.models if m.access is not Access.RETIRED]
    told = [
        ("It trains {}.", [m.label for m in usable if m.access is Access.OPEN and not m.preview]),
        (
            "Training {} is open only to organizations that already do it.",
            [m.label for m in usable if m.access is Access.EXISTING],
        ),
        ("In preview it trains {}.", [m.label for m in usable if m.access is Access.OPEN and m.preview]),
    ]
    sentences = [sentence.format(", ".join(names)) for sentence, names in told if names]
    text = " ".join(
        [
            "Its models answer prompts with your key.",
            *(sentences or ["It trains no model any more, so a run cannot end there."]),
        ]
    )
    return Offer(kind, described.label, text, described.notice)

"""From a stored connection to a platform that can be called: the only place that opens credentials."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils import timezone
from pydantic import ValidationError

from rft_project.platforms import adapter, build, signs_in_as_server
from rft_project.platforms.base import Platform
from rft_project.platforms.endpoints import is_loopback, refusal
from rft_project.platforms.errors import PlatformError
from rft_project.platforms.types import Access, SampleRequest

from .models import ADDRESS_FIELDS, PLACE_FIELDS, SECRET_FIELDS, AuditEntry, Connection, Workspace
from .pacing import forget, pace_of
from .scrub import scrub
from .sealing import SealError

LOCAL_NAME = "This machine"
#: What a model of a connection may do for its workspace: what it reads and spends. Each has a field ``<role>_model``.
ROLES = {
    "helper": "Names topics, sorts doubtful records and writes new ones. It reads message texts.",
    "judge": "Scores answers for graders that ask a model: in dry runs, one question for every answer. "
    "It reads questions, answers and references.",
    "embedding": "Turns message texts into numbers that topics are found and sorted by. It reads message texts once.",
}
#: Roles that one model of a workspace has at a time; of embedding models a dataset chooses among several.
SINGLE = ("helper", "judge")


class Permission(NamedTuple):
    """Something a connection may do or not. ``word`` for the audit log, ``sentence``: what it reads and spends."""

    title: str
    word: str
    sentence: str


#: What an owner allows or forbids each connection; each has a field ``may_<work>``.
PERMISSIONS = {
    "sample": Permission(
        "Answer in runs",
        "answering in runs",
        "Dry runs and trials ask it for answers. It reads prompts and is paid by the answer.",
    ),
    "train": Permission(
        "Train",
        "training",
        "Training uploads the records of a split and the grader, and is paid by the job.",
    ),
}
#: Kinds that cost nothing wherever they are; one of the others on loopback is an emulator.
UNPAID = ("local", "compatible")
OPENAI_HOST = "api.openai.com"
_MOST_NAMES = 20  # trainable models listed with a connection
_MOST_LISTED = 200  # models suggested for a role
_LONGEST_REMEDY = 20_000


class Refused(Exception):
    """A request that cannot be met; the text is one sentence for people. ``field``: the form's field it is about.
    ``remedy``: text to copy that would help, '' where there is none."""

    def __init__(self, sentence: str, field: str | None = None, *, remedy: str = "") -> None:
        super().__init__(sentence)
        self.field = field
        self.remedy = remedy


def local_connection(workspace: Workspace) -> Connection:
    """The connection to our own engine, made when first asked for; its address and key are the server's settings."""
    own = workspace.connections.filter(kind="local", address="")
    found = own.first()
    if found is not None:
        return found
    connection = Connection(workspace=workspace, kind="local", name=LOCAL_NAME)
    connection.set_credentials({})
    try:
        with transaction.atomic():
            connection.save(force_insert=True)
    except IntegrityError:  # somebody else made it just now
        return own.get()
    return connection


def is_own_engine(connection: Connection) -> bool:
    """True for the engine of this server, which every workspace has; another engine has an address of its own."""
    return connection.kind == "local" and not connection.address


def is_emulated(connection: Connection) -> bool:
    """True for a paid platform that answers on this machine: nothing is real there, and pages say so."""
    return connection.kind not in UNPAID and is_loopback(connection.address)


def address_refusal(url: str) -> str:
    """The sentence why an address somebody entered must not be called, '' when it may be."""
    return refusal(url, allowed=settings.ALLOWED_PRIVATE_ENDPOINTS)


def platform_for(connection: Connection) -> Platform:
    """Build the adapter. Raises PlatformError with a sentence for people.

    An entered address is judged on every use: what its name leads to may have changed since it was saved.
    """
    try:
        values: dict[str, Any] = connection.credentials()
    except SealError as problem:
        raise PlatformError(f"{connection.name}: {problem}") from None
    addresses = [str(values[field]) for field in ADDRESS_FIELDS if values.get(field)]
    for address in addresses:
        sentence = address_refusal(address)
        if sentence:
            raise PlatformError(sentence)
    if connection.kind == "local" and not addresses:
        # The engine of this server moves with the settings; its key goes to no other address.
        values = {**values, "base_url": settings.ENGINE_URL, "api_key": settings.ENGINE_KEY}
    return build(connection.kind, values, pace_of(connection))


def calling_address(connection: Connection) -> str:
    """Where its OpenAI-compatible API is called, for code that people copy; '' where the SDK knows by itself."""
    if connection.kind == "openai" and not connection.address:
        return ""
    if is_own_engine(connection):
        return str(settings.ENGINE_URL)
    try:
        checked = adapter(connection.kind).credentials.model_validate(connection.credentials())
    except (SealError, PlatformError, ValidationError):
        return connection.address
    return str(getattr(checked, "address", "") or getattr(checked, "base_url", ""))


def webhook_secret(connection: Connection) -> str:
    """What the connection's webhooks are signed with, '' where it has none."""
    try:
        return str(connection.credentials().get("webhook_secret") or "")
    except SealError:
        return ""


def examine(connection: Connection) -> dict[str, Any]:
    """Call the platform for real; returns what the account can do there. Raises PlatformError."""
    platform = platform_for(connection)
    platform.check()
    found = platform.capabilities()
    trained = [m for m in found.models if m.method == "reinforcement"]
    usable = [m for m in trained if m.access is not Access.RETIRED] if found.train else []
    return {
        "answers": sum(m.access is not Access.RETIRED for m in found.models) if found.sample else 0,
        "trains": [m.label for m in usable][:_MOST_NAMES],
        "closed": [m.label for m in trained if m not in usable][:_MOST_NAMES],
        "embeds": found.embed,
        "models": [m.id for m in found.models if m.access is not Access.RETIRED][:_MOST_LISTED],
        "notice": found.notice,
    }


def check(connection: Connection, *, by: Any = None) -> str:
    """Call the platform once; remembers and returns the error's sentence, '' when all is well."""
    changes: dict[str, Any] = {"checked_at": timezone.now(), "last_error": "", "remedy": ""}
    try:
        changes["abilities"] = examine(connection)
    except PlatformError as problem:
        changes.update(last_error=_said(problem), remedy=_remedy(problem))
        _audit_failure(connection, problem, by)
    Connection.objects.filter(pk=connection.pk).update(**changes)
    return str(changes["last_error"])


def add(workspace: Workspace, kind: str, name: str, values: dict[str, Any], *, by: Any) -> Connection:
    """Save a connection that was called and answered. Raises Refused with the platform's or our own sentence."""
    name = name.strip()
    if name.casefold() == LOCAL_NAME.casefold():
        raise Refused(f"“{LOCAL_NAME}” is this server's own engine; choose another name.", "name")
    if workspace.connections.filter(name=name).exists():
        raise _taken(name)
    connection = Connection(workspace=workspace, kind=kind, name=name)
    _set_checked(connection, values, by)
    try:
        with transaction.atomic():
            connection.save(force_insert=True)
            AuditEntry.write("add connection", connection, workspace=workspace, actor=by, detail=kind)
    except IntegrityError:
        raise _taken(name) from None
    return connection


def shown(connection: Connection) -> dict[str, Any]:
    """The credentials that are no secrets, to be changed on a page; none where they cannot be opened any more."""
    try:
        return {name: value for name, value in connection.credentials().items() if name not in SECRET_FIELDS}
    except SealError:
        return {}


def with_kept(connection: Connection, values: dict[str, Any]) -> dict[str, Any]:
    """``values`` with the stored secrets in the place of those left out. A secret given as '' is taken away, and none
    goes along to another address, region or access key than it was entered for."""
    try:
        old = connection.credentials()
    except SealError:
        return values
    if any((old.get(name) or "") != (values.get(name) or "") for name in PLACE_FIELDS):
        return values
    kept = {name: old[name] for name in SECRET_FIELDS if old.get(name)}
    if values.get("secret_access_key"):
        kept.pop("session_token", None)  # a session token belongs to its key
    return {**kept, **values}


def replace_credentials(connection: Connection, values: dict[str, Any], *, by: Any) -> None:
    """Put other credentials in the place of the old ones, once they answered; ``values`` are all of them. Raises
    Refused."""
    if is_own_engine(connection):
        raise Refused("The engine of this server takes its address and key from the server's settings.")
    _set_checked(connection, values, by)
    with transaction.atomic():
        connection.save(update_fields=["sealed", "hint", "address", "abilities", "checked_at", "last_error", "remedy"])
        forget(connection)  # another account has limits of its own
        AuditEntry.write("replace credentials", connection, workspace=connection.workspace, actor=by)


def delete(connection: Connection, *, by: Any) -> None:
    """Raises Refused where runs rest on it, and for the engine of this server."""
    if is_own_engine(connection):
        raise Refused("The engine of this server is always there; it costs nothing and needs no key.")
    try:
        with transaction.atomic():
            AuditEntry.write("delete connection", connection, workspace=connection.workspace, actor=by)
            connection.delete()
    except ProtectedError:
        raise Refused(f"Runs use {connection.name}, so it stays; to change its key, enter a new one.") from None


def set_role(connection: Connection, role: str, model: str, *, by: Any) -> None:
    """Let ``model`` be the ``role`` (a key of ``ROLES``) of its workspace, in the place of any other connection's where
    there is one at a time; '' for none. Raises Refused when it does not answer."""
    model = model.strip()[:200]
    if model:
        _ask(connection, role, model)
    field = f"{role}_model"
    setattr(connection, field, model)
    with transaction.atomic():
        if model and role in SINGLE:
            connection.workspace.connections.exclude(pk=connection.pk).exclude(**{field: ""}).update(**{field: ""})
        connection.save(update_fields=[field])
        AuditEntry.write(f"set {role} model", connection, workspace=connection.workspace, actor=by, detail=model)


def permit(connections: Iterable[Connection], work: str, allowed: Collection[str], *, by: Any) -> None:
    """Let those of ``connections`` whose keys are in ``allowed`` do ``work`` (of ``PERMISSIONS``), the others not."""
    field = f"may_{work}"
    with transaction.atomic():
        for connection in connections:
            wanted = str(connection.pk) in allowed
            if getattr(connection, field) == wanted:
                continue
            setattr(connection, field, wanted)
            connection.save(update_fields=[field])
            action = f"{'allow' if wanted else 'forbid'} {PERMISSIONS[work].word}"
            AuditEntry.write(action, connection, workspace=connection.workspace, actor=by)


def with_role(workspace: Workspace, role: str) -> Connection | None:
    """The workspace's first connection that has a model for ``role``."""
    return workspace.connections.exclude(**{f"{role}_model": ""}).first()


def connect_helper(workspace: Workspace, address: str, model: str, key: str = "", *, by: Any) -> Connection:
    """A new connection to a server of chat completions, with ``model`` as the helper from now on.

    ``address`` may be the bare host of the server. Raises Refused when it or the model does not answer.
    """
    parts = urlsplit(address.strip())
    address = urlunsplit(parts._replace(path="/v1")) if parts.path in ("", "/") else address.strip()
    kind = "openai" if parts.hostname == OPENAI_HOST else "compatible"
    connection = Connection(workspace=workspace, kind=kind, name=_free_name(workspace, parts.hostname or "Helper"))
    _set_checked(connection, {"base_url": address, **({"api_key": key} if key else {})}, by)
    connection.helper_model = model.strip()[:200]
    _ask(connection, "helper", connection.helper_model)
    with transaction.atomic():
        workspace.connections.exclude(helper_model="").update(helper_model="")  # a workspace has one helper
        connection.save(force_insert=True)
        AuditEntry.write("add connection", connection, workspace=workspace, actor=by, detail=kind)
        AuditEntry.write("set helper model", connection, workspace=workspace, actor=by, detail=connection.helper_model)
    return connection


def _ask(connection: Connection, role: str, model: str) -> None:
    """One cheap real question of the role's kind. Raises Refused when there is no answer."""
    question = SampleRequest(model=model, messages=[{"role": "user", "content": "Say yes."}], max_tokens=16)
    try:
        platform = platform_for(connection)
        if role != "embedding":
            platform.sample(question)
        elif not all(platform.embed(["Where is my parcel?"], model)):
            raise PlatformError("It sent no vector.")
    except (PlatformError, SealError) as problem:
        raise Refused(f"{model} does not answer, so it was not saved: {scrub(str(problem))}", "model") from None


def _free_name(workspace: Workspace, name: str) -> str:
    """``name``, numbered where the workspace has it already."""
    taken = set(workspace.connections.values_list("name", flat=True)) | {LOCAL_NAME}
    numbered = (f"{name} {number}" for number in itertools.count(2))
    return name if name not in taken else next(other for other in numbered if other not in taken)


class Sealed(Protocol):
    """A row with something ``sealed`` in it, such as a connection; ``settings.SEALED`` names the models."""

    pk: Any
    sealed: str

    def resealed(self) -> str: ...


def reseal(row: Sealed) -> bool:
    """Seal what the row holds with the first key; False when it changed meanwhile (then it is newer). Raises
    SealError."""
    rows = type(row)._default_manager.filter(pk=row.pk, sealed=row.sealed)  # type: ignore[attr-defined]
    return bool(rows.update(sealed=row.resealed()))


def _set_checked(connection: Connection, values: dict[str, Any], by: Any) -> None:
    if by is not None and not by.is_superuser and signs_in_as_server(connection.kind, values):
        raise Refused(
            "This would act with the rights of this server itself, which only its operator may hand out: enter a key "
            "and leave the fields for deploying empty, or ask the operator to add the connection."
        )
    connection.set_credentials(values)
    try:
        connection.abilities = examine(connection)
    except PlatformError as problem:
        _audit_failure(connection, problem, by)
        raise Refused(_said(problem), remedy=_remedy(problem)) from None
    connection.checked_at, connection.last_error, connection.remedy = timezone.now(), "", ""


def _audit_failure(connection: Connection, problem: PlatformError, by: Any) -> None:
    detail = _said(problem)
    AuditEntry.write("connection check failed", connection, workspace=connection.workspace, actor=by, detail=detail)


def _said(problem: PlatformError) -> str:
    """The sentence as it may be stored and shown."""
    return scrub(str(problem)).replace("\x00", "")[:500]


def _remedy(problem: PlatformError) -> str:
    return scrub(problem.remedy).replace("\x00", "")[:_LONGEST_REMEDY]


def _taken(name: str) -> Refused:
    return Refused(f"There is already a connection called {name}; choose another name.", "name")

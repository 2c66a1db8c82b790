"""The journal that is kept in the database: a call is sent once, whatever dies in between (docs/spending.md)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from rft_project.connections.models import AuditEntry, Connection
from rft_project.connections.scrub import scrub
from rft_project.platforms import PLATFORMS
from rft_project.platforms.errors import PlatformError, Unknown
from rft_project.platforms.journal import Discard, Find, Prepare, Send, looked_up

from .models import ExternalCall, State

START, DEPLOY = "start", "deploy"
MOST_ATTEMPTS = 2
LOOK_EVERY = 120.0  # seconds between two looks for a call whose answer was lost
BUSY_RETRY = 5.0  # seconds, where another process makes the same call just now
_WHETHER = {START: "the training started", DEPLOY: "the deployment was made"}
#: A refusal with these may mean that something prepared earlier is gone, such as a file that has expired.
_MISSING = (400, 404)


class Ledger:
    """Implements :class:`~rft_project.platforms.journal.Journal` for one intent on one connection.

    No call is made inside a transaction: the row has to be there, also for others, before the request leaves.
    """

    def __init__(self, connection: Connection, key: str, subject: str) -> None:
        self._connection = connection
        self._key = key
        self._subject = subject[:200]
        self._grace = grace_of(connection)

    def once(
        self, operation: str, content: str, *, prepare: Prepare, find: Find, discard: Discard | None = None
    ) -> str:
        """See :class:`~rft_project.platforms.journal.Journal`.

        The platform's list is read before anything is sent, so that a call made before this ledger, by hand or from a
        database that was put back is found too. A list that can't be read for good (a key that was withdrawn, say)
        raises its own error; the row stays as it is.
        """
        call = self._planned(operation, content)
        if call.state == State.CONFIRMED:
            return call.remote_id if call.looked_at else self._look_once_more(call, find, discard)
        found = self._looked(call, find)
        if found:
            return self._adopt(call, found, discard)
        self._wait_out(call)
        return self._send(call, self._prepared(prepare), find, discard)

    # Before a call is sent

    def _planned(self, operation: str, content: str) -> ExternalCall:
        with transaction.atomic(durable=True):
            call, _ = ExternalCall.objects.get_or_create(
                key=self._key,
                operation=operation,
                content=content,
                defaults={"connection": self._connection, "subject": self._subject},
            )
        return call

    def _looked(self, call: ExternalCall, find: Find) -> list[str]:
        try:
            return find()
        except PlatformError as error:
            if call.state == State.SENT and error.retryable:
                raise self._unclear(call, error.retry_after or LOOK_EVERY) from error
            raise

    def _wait_out(self, call: ExternalCall) -> None:
        """Nothing was found: raises Unknown while a list may still lag behind, PlatformError where people decide.

        A call of the same intent with another content counts too: it may be what the list does not show yet.
        """
        if call.state == State.UNKNOWN:
            raise _asking(self._connection, call)
        left = _left(self._key, call.operation, self._grace)
        if left > 0:
            raise self._unclear(call, left)
        if call.state == State.SENT and call.attempts >= MOST_ATTEMPTS:
            self._write(call, state=State.UNKNOWN)
            raise _asking(self._connection, call)

    def _prepared(self, prepare: Prepare) -> Send:
        try:
            return prepare()
        except PlatformError as error:
            self._doubt_prepared(error)
            raise

    # Sending

    def _send(self, call: ExternalCall, send: Send, find: Find, discard: Discard | None) -> str:
        self._claim(call)
        try:
            made = send()
        except Unknown as error:
            self._write(call, said=_said(error))
            found = looked_up(find)
            if found:
                return self._adopt(call, found, discard)
            raise self._unclear(call, max(self._grace, error.retry_after or 0.0)) from error
        except PlatformError as error:
            self._refused(call, error)
            raise
        return self._confirm(call, made, find, discard)

    def _claim(self, call: ExternalCall) -> None:
        """Of two processes that want to send, one does. Raises Unknown in the other."""
        with transaction.atomic(durable=True):
            claimed = ExternalCall.objects.filter(pk=call.pk, state=call.state, attempts=call.attempts).update(
                state=State.SENT,
                attempts=F("attempts") + 1,
                sent_at=timezone.now(),
                looked_at=None,
                remote_id="",
                connection=self._connection,
                said="",
            )
        if not claimed:
            raise Unknown(f"{self._label} is being asked by another worker just now.", retry_after=BUSY_RETRY)
        call.refresh_from_db()

    def _refused(self, call: ExternalCall, error: PlatformError) -> None:
        """Clearly refused: it may be sent again whenever its job likes to. What was prepared for it is looked for
        again then, where the refusal may be about that."""
        self._write(call, state=State.REJECTED, attempts=call.attempts - 1, said=_said(error))
        self._doubt_prepared(error)

    def _doubt_prepared(self, error: PlatformError) -> None:
        if error.status in _MISSING:
            before = timezone.now() - timedelta(seconds=self._grace)
            give_up(ExternalCall.objects.filter(key=self._key, confirmed_at__lt=before))

    # After it

    def _confirm(self, call: ExternalCall, made: str, find: Find, discard: Discard | None) -> str:
        """Where somebody settled the call meanwhile, what was made here is one too many."""
        values = {"state": State.CONFIRMED, "remote_id": made, "confirmed_at": timezone.now(), "said": ""}
        confirmed = ExternalCall.objects.filter(pk=call.pk).exclude(state=State.CONFIRMED).update(**values)
        call.refresh_from_db()
        if not confirmed and call.remote_id != made:
            self._discard(call, [made], discard)
        return self._look_once_more(call, find, discard)

    def _look_once_more(self, call: ExternalCall, find: Find, discard: Discard | None) -> str:
        """After each answer: more than one is one too many, and the oldest stays."""
        try:
            found = find()
        except PlatformError:
            return call.remote_id  # looked at when it is asked for again
        known = found if call.remote_id in found else [*found, call.remote_id]
        if len(known) > 1:
            return self._adopt(call, known, discard)
        self._write(call, looked_at=timezone.now())
        return call.remote_id

    def _adopt(self, call: ExternalCall, found: list[str], discard: Discard | None) -> str:
        """Take the oldest of what earlier attempts made."""
        kept, *extra = found
        now = timezone.now()
        self._write(call, state=State.CONFIRMED, remote_id=kept, confirmed_at=now, said="Found in the platform's list.")
        self._audit("found an earlier call", call, kept)
        if self._discard(call, extra, discard):
            self._write(call, looked_at=now)
        return kept

    def _discard(self, call: ExternalCall, extra: list[str], discard: Discard | None) -> bool:
        """False where one could not be taken back; that is tried again when the call is asked for again."""
        done = True
        for made in extra if discard is not None else []:
            assert discard is not None
            try:
                discard(made)
                self._audit("took back one made twice", call, made)
            except PlatformError as error:
                done = False
                self._audit("could not take back one made twice", call, f"{made}: {_said(error)}")
        return done

    # Words

    @property
    def _label(self) -> str:
        return label_of(self._connection)

    def _unclear(self, call: ExternalCall, left: float) -> Unknown:
        return unclear(self._connection, call.operation, left)

    def _audit(self, action: str, call: ExternalCall, detail: str) -> None:
        workspace = self._connection.workspace
        AuditEntry.write(action, call, workspace=workspace, actor=None, detail=f"{self._label}: {detail}")

    def _write(self, call: ExternalCall, **values: Any) -> None:
        for name, value in values.items():
            setattr(call, name, value)
        call.save(update_fields=list(values))


class OnlyLooks:
    """A journal that sends nothing: the adapter looks for what an earlier call made. Raises NotThere."""

    def once(
        self, operation: str, content: str, *, prepare: Prepare, find: Find, discard: Discard | None = None
    ) -> str:
        found = find()
        if not found:
            raise NotThere("The platform's list does not show it.")
        return found[0]


class NotThere(PlatformError):
    """What was looked for is not in the platform's list."""


def journal(connection: Connection, key: str, subject: str) -> Ledger:
    """The journal of one intent. ``key`` was stored before, ``subject`` is what it is for, in words."""
    return Ledger(connection, key, subject)


def grace_of(connection: Connection) -> float:
    """Seconds for which a platform's lists may not show what it made: the lag of the list and the longest request.

    Our own engine writes a job down before it answers.
    """
    return float(settings.SPENDING_GRACE_LOCAL if connection.kind == "local" else settings.SPENDING_GRACE)


def label_of(connection: Connection) -> str:
    return PLATFORMS[connection.kind][0]


def made(key: str, operation: str) -> str:
    """The platform's id of what the intent's ``operation`` made, '' where that is not known."""
    calls = ExternalCall.objects.filter(key=key, operation=operation, state=State.CONFIRMED)
    return calls.values_list("remote_id", flat=True).first() or ""


def made_at(key: str, operation: str) -> datetime | None:
    """When it was known that the intent's ``operation`` had made it."""
    calls = ExternalCall.objects.filter(key=key, operation=operation, state=State.CONFIRMED)
    return calls.values_list("confirmed_at", flat=True).first()


def may_stand(key: str, operation: str) -> bool:
    """Whether ``operation`` made something, or may have."""
    known = (State.SENT, State.CONFIRMED, State.UNKNOWN)
    return ExternalCall.objects.filter(key=key, operation=operation, state__in=known).exists()


def refuse_unsettled(connection: Connection, key: str, operation: str) -> None:
    """Raises Unknown while ``operation`` may have taken effect without showing in the platform's list, PlatformError
    where that is for a person to find out."""
    asked = ExternalCall.objects.filter(key=key, operation=operation, state=State.UNKNOWN).first()
    if asked is not None:
        raise _asking(connection, asked)
    left = _left(key, operation, grace_of(connection))
    if left > 0:
        raise unclear(connection, operation, left)


def release(key: str) -> None:
    """What the intent made is gone, or of no use: the next time it is made anew, unless the list shows it."""
    give_up(ExternalCall.objects.filter(key=key))


def give_up(calls: QuerySet[ExternalCall]) -> None:
    """Those of ``calls`` that were made; what is sent after it counts from one again."""
    calls.filter(state=State.CONFIRMED).update(state=State.RELEASED, attempts=0)


def unclear(connection: Connection, operation: str, left: float) -> Unknown:
    wait = max(0.0, min(left, LOOK_EVERY))
    return Unknown(
        f"{label_of(connection)} did not say whether {_whether(operation)}; looking again in {_words(wait)} so that "
        "nothing is paid twice.",
        retryable=True,
        retry_after=wait,
    )


def _left(key: str, operation: str, grace: float) -> float:
    """Seconds until a call that was sent and not found counts as not made; 0 or less where it does."""
    sent = ExternalCall.objects.filter(key=key, operation=operation, state=State.SENT)
    last: datetime | None = sent.order_by("-sent_at").values_list("sent_at", flat=True).first()
    return 0.0 if last is None else grace - (timezone.now() - last).total_seconds()


def _asking(connection: Connection, call: ExternalCall) -> PlatformError:
    words = f" It said: {call.said}" if call.said else ""
    return PlatformError(
        f"{label_of(connection)} did not say whether {_whether(call.operation)}, twice, and its list does not show it."
        f"{words} Look there for {call.subject}, then let an operator enter what you found (admin, external calls,"
        f" number {call.pk}); nothing is sent until then."
    )


def _whether(operation: str) -> str:
    return _WHETHER.get(operation, f"the call “{operation}” took effect")


def _words(seconds: float) -> str:
    if seconds >= 90:
        return f"{round(seconds / 60)} minutes"
    whole = max(1, round(seconds))
    return "a second" if whole == 1 else f"{whole} seconds"


def _said(error: PlatformError) -> str:
    return scrub(str(error)).replace("\x00", "")[:500]

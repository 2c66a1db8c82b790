"""The pace of each connection, shared by all processes and hosts through one row of the database.

A process takes shares for a moment at a time, so the row is written a few times a second at most, and never as part of
anybody's transaction: one thread of each process does it, over a database connection of its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from django.db import DatabaseError, Error
from django.db import connection as database
from pydantic import ValidationError

from rft_project.platforms import PLATFORMS
from rft_project.platforms.errors import NotYet
from rft_project.platforms.pacing import Alone, ConnectionPace, Pace
from rft_project.platforms.rates import Ask, Grant, Shares, exchanged
from rft_project.platforms.window import START, Window

from .models import Connection, Pacing

#: Seconds for which a process waits for the row before it tries again, and after which it does.
_PATIENCE, _AGAIN = 5.0, 1.0
#: How often a write is tried when others write at the same moment.
_TRIES = 20
#: Paces that a process remembers.
_MOST = 500


class SharedStore:
    """A :class:`~rft_project.platforms.pacing.Store` in the connection's row. For a connection that is not saved yet,
    or that nobody else can see yet, this process is alone."""

    def __init__(self, connection_pk: UUID) -> None:
        self._pk, self._alone = connection_pk, Alone()

    def exchange(self, ask: Ask) -> Grant:
        try:
            grant = _keeper(os.getpid()).submit(_exchange, self._pk, ask).result(_PATIENCE)
        except (Error, TimeoutError):
            raise NotYet("The database did not answer when a rate limit was looked up.", _AGAIN) from None
        return grant or self._alone.exchange(ask)


def pace_of(connection: Connection) -> Pace:
    """The one pace that all calls of this process over ``connection`` share."""
    return _paces(os.getpid()).of(connection)


def forget(connection: Connection) -> None:
    """What was learned of the limits; what is in flight is finished by the old pace."""
    Pacing.objects.filter(connection=connection).delete()
    _paces(os.getpid()).drop(connection.pk)


class _Paces:
    def __init__(self) -> None:
        self._known: OrderedDict[UUID, Pace] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, connection: Connection) -> Pace:
        with self._lock:
            if connection.pk not in self._known:
                self._known[connection.pk] = _made(connection)
            self._known.move_to_end(connection.pk)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
            return self._known[connection.pk]

    def drop(self, pk: UUID) -> None:
        with self._lock:
            self._known.pop(pk, None)


def _made(connection: Connection) -> Pace:
    label = PLATFORMS[connection.kind][0] if connection.kind in PLATFORMS else connection.kind
    if connection.kind == "local":  # an engine of our own has no limits; more at once would only queue there
        return ConnectionPace(Alone(), label, window=Window(most=START), alone_first=False)
    return ConnectionPace(SharedStore(connection.pk), label)


@lru_cache(maxsize=1)
def _paces(_process: int) -> _Paces:
    return _Paces()


@lru_cache(maxsize=1)
def _keeper(_process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="pace-keeper")


def _exchange(pk: UUID, ask: Ask) -> Grant | None:
    """None where there is no such connection to be seen. Raises DatabaseError."""
    try:
        for _ in range(_TRIES):
            row = Pacing.objects.filter(pk=pk).first()
            if row is None:
                if not Connection.objects.filter(pk=pk).exists():
                    return None
                Pacing.objects.bulk_create([Pacing(connection_id=pk)], ignore_conflicts=True)
                continue
            after, grant = exchanged(_shares(row), ask, time.time())
            if not (ask.tells or grant.given) or _kept(row, after):
                return grant
        raise DatabaseError("Others wrote each time.")
    finally:
        database.close()


def _shares(row: Pacing) -> Shares:
    try:
        return Shares.model_validate(row.shares)
    except ValidationError:
        return Shares()  # of another version: it is learned anew


def _kept(row: Pacing, after: Shares) -> bool:
    """Whether nobody else wrote meanwhile."""
    until = datetime.fromtimestamp(after.paused_until, UTC) if after.paused_until else None
    unchanged = Pacing.objects.filter(pk=row.pk, version=row.version)
    values = {"shares": after.model_dump(), "paused_until": until, "version": row.version + 1}
    return bool(unchanged.update(**values))

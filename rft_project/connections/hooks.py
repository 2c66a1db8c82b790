"""Webhooks: a platform says that something happened. Only what it signed is believed, and only once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from rft_project.platforms.openai_webhooks import Notice, notice_of

from .models import Connection, HookMessage
from .services import webhook_secret

#: Bytes of a message: a real one has a few hundred.
MOST_BYTES = 16_384
#: A signature is believed for five minutes; ids are remembered for longer.
KEPT = timedelta(days=1)


def received(pk: UUID, body: bytes, headers: Mapping[str, str]) -> tuple[Connection, Notice] | None:
    """The connection a message is for and what it says; None for one that is not signed with the connection's secret.

    A message that was taken before is told again as it was: ``first`` decides what it may do.
    """
    connection = Connection.objects.filter(pk=pk, kind="openai").first()
    secret = webhook_secret(connection) if connection is not None else ""
    notice = notice_of(body, headers, secret) if secret else None
    return (connection, notice) if connection is not None and notice is not None else None


def first(connection: Connection, notice: Notice) -> bool:
    """Whether this is the first time that the message came; remembers it."""
    connection.hook_messages.filter(at__lt=timezone.now() - KEPT).delete()
    try:
        with transaction.atomic():
            HookMessage.objects.create(connection=connection, message_id=notice.id[:200])
    except IntegrityError:
        return False
    return True

"""What a person decides about a call that nobody heard of again. Each decision goes into the audit log."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from rft_project.connections.models import AuditEntry

from .models import ExternalCall, State

OPEN = (State.SENT, State.UNKNOWN)


class Refused(Exception):
    """A decision that cannot be taken; the text is one sentence for people."""


def not_there(call: ExternalCall, *, by: Any) -> None:
    """It was looked for at the platform and is not there: it may be sent again. Raises Refused."""
    _decide(call, "call is not there", by, state=State.PLANNED, attempts=0, said="A person looked: it is not there.")


def is_there(call: ExternalCall, remote_id: str, *, by: Any) -> None:
    """It was found at the platform as ``remote_id``. Raises Refused."""
    remote_id = remote_id.strip()
    if not remote_id:
        raise Refused("Enter the platform's id of what was made.")
    said = "A person found it at the platform."
    _decide(
        call, "call is there", by, state=State.CONFIRMED, remote_id=remote_id, confirmed_at=timezone.now(), said=said
    )


def _decide(call: ExternalCall, action: str, by: Any, **values: Any) -> None:
    with transaction.atomic():
        if not ExternalCall.objects.filter(pk=call.pk, state__in=OPEN).update(**values):
            raise Refused(f"Nothing is open about the {call}: its answer is known.")
        workspace = call.connection.workspace if call.connection is not None else None
        detail = str(values.get("remote_id", ""))
        AuditEntry.write(action, call, workspace=workspace, actor=by, detail=detail)
    call.refresh_from_db()

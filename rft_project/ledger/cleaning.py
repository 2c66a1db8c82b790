"""Deleting what a training left at its platform, so that the ledger never takes it for being there."""

from __future__ import annotations

from rft_project.connections.models import Connection
from rft_project.platforms.base import CleansUp, refuse_unfinished
from rft_project.platforms.types import Handle

from .models import ExternalCall
from .services import START, give_up, made, refuse_unsettled


def cleaned_up(connection: Connection, platform: CleansUp, key: str) -> list[str]:
    """Delete what the training with this key left; returns what was deleted, in words. Idempotent.

    What was prepared for the start is looked for, or made anew, should it ever be started; the start itself stays
    known, also where the platform finds it by a file that is deleted here. Raises Unknown while the start may have
    taken effect without showing: its job would lose its files. Raises PlatformError while the training is at work, also
    where the platform's list does not show it yet.
    """
    refuse_unsettled(connection, key, START)
    started = made(key, START)
    if started:
        refuse_unfinished(platform, Handle(id=started))
    deleted = platform.clean_up(key)
    give_up(ExternalCall.objects.filter(key=key).exclude(operation=START))
    return deleted

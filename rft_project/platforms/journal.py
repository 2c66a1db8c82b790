"""Calls that spend or leave something behind are made once, whatever dies in between.

Adapters make every such call through a :class:`Journal`: they say how to make it and how to find what an earlier
attempt made. Keeping a record of it is the journal's part: :class:`Unkept` keeps none and is for tools and tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .errors import PlatformError, Unknown

#: Makes the call; returns the platform's id of what it made. Raises Unknown where it ended without a clear answer.
Send = Callable[[], str]
#: Gets everything ready (uploads, say, through the journal too) and returns the call itself.
Prepare = Callable[[], Send]
#: Ids of what earlier attempts made, oldest first. A platform's lists may lag behind by seconds or minutes.
Find = Callable[[], list[str]]
#: Takes back a thing that was made once too often. Idempotent.
Discard = Callable[[str], None]


class Journal(Protocol):
    """Bound to one intent (a key that was stored before): ``operation`` names a call within it."""

    def once(
        self, operation: str, content: str, *, prepare: Prepare, find: Find, discard: Discard | None = None
    ) -> str:
        """The id of what ``operation`` made, now or in an earlier attempt.

        ``content``: a digest of what is sent; with another content it is another call. ``prepare`` runs only where a
        call is about to be made, and may be cut off without harm. Raises Unknown, with
        ``retry_after`` where that is known, while it cannot be told whether an earlier attempt took effect; any other
        PlatformError means that nothing was made.
        """
        ...


class Unkept:
    """Looks before it sends, and once more after a call that ended without a clear answer. Remembers nothing."""

    def once(
        self, operation: str, content: str, *, prepare: Prepare, find: Find, discard: Discard | None = None
    ) -> str:
        found = find()
        if found:
            return found[0]
        send = prepare()
        try:
            return send()
        except Unknown as error:
            made = looked_up(find)
            if not made:
                raise error
            return made[0]


def looked_up(find: Find) -> list[str]:
    """``find()`` after an unclear answer: a failing lookup changes nothing about that."""
    try:
        return find()
    except PlatformError:
        return []


def taken(refusal: PlatformError, find: Find) -> str:
    """The id of what has the name that a call was refused for, where the name is the intent's own: an earlier call made
    it. Raises Unknown where it does not show yet."""
    found = looked_up(find)
    if not found:
        raise Unknown(str(refusal), retryable=True, code=refusal.code, status=refusal.status) from refusal
    return found[0]


UNKEPT: Journal = Unkept()

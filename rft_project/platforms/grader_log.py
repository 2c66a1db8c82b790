"""The log a grader's function writes to CloudWatch, read as a job's observed rewards."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .aws import DENIED
from .errors import PlatformError
from .observed_rewards import Cursor, Graded, graded, told
from .types import JsonDict, TrainingEvent

Call = Callable[..., Any]
#: Pages of a log read in one look, of up to 10,000 lines each; the next look goes on.
_MOST_PAGES = 20
#: The one event of a job whose log may not be read.
_REFUSED = "observed-refused"


def observed(
    call: Call, function: str, created: int, cursor: Cursor, lot: int, *, final: bool
) -> tuple[list[TrainingEvent], Cursor]:
    """Events of what ``function`` logged since ``cursor``, and the cursor after them. ``created``: the job's epoch ms.

    A log that may not be read is said once, with what would help, and asked for again at the next look: the job goes
    on without its observed curve. Raises PlatformError for anything else.
    """
    try:
        lines, whole = _lines(call, function, cursor.since or created)
    except PlatformError as error:
        if error.code not in DENIED:
            raise
        return ([] if cursor.refused else [_denied(error)]), cursor.model_copy(update={"refused": True})
    return told(lines, cursor, lot, final=final and whole)


def _denied(error: PlatformError) -> TrainingEvent:
    said = "The grader's own log can't be read, so the rewards it gave are not shown; training goes on."
    allow = "Allow logs:FilterLogEvents on /aws/lambda/ to see them."
    return TrainingEvent(id=_REFUSED, at=time.time(), level="warn", message=f"{said} {allow} {error}")


def _lines(call: Call, function: str, begin: int) -> tuple[list[Graded], bool]:
    """The log from ``begin`` on, oldest first, and whether it was read to its end."""
    arguments: JsonDict = {"logGroupName": f"/aws/lambda/{function}", "startTime": begin}
    found: list[Graded] = []
    for _ in range(_MOST_PAGES if function else 0):
        try:
            page = call("reading the grader's log", "logs", "filter_log_events", wants=("events",), **arguments)
        except PlatformError as error:
            if error.code == "ResourceNotFoundException":  # nothing was graded yet
                break
            raise
        found += [graded(int(event["timestamp"]), str(event["message"])) for event in page["events"]]
        if not page.get("nextToken"):
            break
        arguments["nextToken"] = page["nextToken"]
    else:
        return sorted(found, key=lambda line: line.at), not function
    return sorted(found, key=lambda line: line.at), True


def function_of(arn: Any) -> str:
    """The function without account and version: what its log is called by."""
    parts = str(arn or "").split(":")
    return parts[6] if len(parts) > 6 else ""

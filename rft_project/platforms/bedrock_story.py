"""What can be told of a Bedrock job's course: the grader's log in CloudWatch, and metric files in S3 if there are any.

What a job for reinforcement fine-tuning writes to S3 is not documented; files with "metrics" in their names and a
column of steps are read, whatever else they hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from .aws import Clients
from .bedrock_values import training_status
from .errors import PlatformError
from .observed_rewards import Cursor, Graded, graded, lot_size, steps_of, told
from .types import EventPage, JsonDict, TrainingEvent

Call = Callable[..., Any]
#: Pages of a log read in one look, of up to 10,000 lines each; the next look goes on.
_MOST_PAGES = 20
_MOST_BYTES = 20_000_000
_S3 = re.compile(r"s3://([^/]+)/(.*)\Z")


class Story:
    """``since`` tells what happened in a job after a cursor."""

    def __init__(self, clients: Clients, call: Call) -> None:
        self._clients = clients
        self._call = call

    def since(self, job: JsonDict, after: str | None) -> EventPage:
        """Events since ``after``. A page that changed nothing has the cursor it was asked with."""
        cursor = Cursor.of(after)
        config = (job.get("customizationConfig") or {}).get("rftConfig") or {}
        final = training_status(job).state.final
        lines, whole = self._lines(_function(config), cursor, job.get("creationTime"))
        events, cursor = told(lines, cursor, lot_size(config.get("hyperParameters") or {}), final=final and whole)
        if final:
            found = self._files(str((job.get("outputDataConfig") or {}).get("s3Uri") or ""))
            events += _told(found[cursor.rows :], cursor.rows, job)
            cursor = cursor.model_copy(update={"rows": max(cursor.rows, len(found))})
        return EventPage(events=events, cursor=cursor.text() if events or after is not None else None)

    def _lines(self, function: str, cursor: Cursor, created: Any) -> tuple[list[Graded], bool]:
        """The grader's log since the cursor, oldest first, and whether it was read to its end."""
        begin = cursor.since or (int(created.timestamp() * 1000) if isinstance(created, datetime) else 0)
        arguments: JsonDict = {"logGroupName": f"/aws/lambda/{function}", "startTime": begin}
        found: list[Graded] = []
        for _ in range(_MOST_PAGES if function else 0):
            try:
                page = self._call(
                    "reading the grader's log", "logs", "filter_log_events", wants=("events",), **arguments
                )
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

    def _files(self, address: str) -> list[tuple[int, dict[str, float]]]:
        """Steps of all metric files under a job's output, in the order of the files' names."""
        place = _S3.match(address)
        if place is None:
            return []
        page = self._call("looking for metric files", "s3", "list_objects_v2", Bucket=place[1], Prefix=place[2])
        names = [
            str(file["Key"])
            for file in page.get("Contents", [])
            if re.search(r"metrics[^/]*\.csv\Z", str(file["Key"])) and file["Size"] <= _MOST_BYTES
        ]
        found: list[tuple[int, dict[str, float]]] = []
        for name in sorted(names):
            file = self._call("reading a metric file", "s3", "get_object", Bucket=place[1], Key=name)
            found += steps_of(self._clients.content(file["Body"], "reading a metric file").decode("utf-8", "replace"))
        return found


def _function(config: JsonDict) -> str:
    """The grader's function without version: what its log is called by."""
    arn = ((config.get("graderConfig") or {}).get("lambdaGrader") or {}).get("lambdaArn", "")
    parts = str(arn).split(":")
    return parts[6] if len(parts) > 6 else ""


def _told(steps: list[tuple[int, dict[str, float]]], first: int, job: JsonDict) -> list[TrainingEvent]:
    ended = job.get("endTime") or job.get("lastModifiedTime")
    at = ended.timestamp() if isinstance(ended, datetime) else 0.0
    return [
        TrainingEvent(id=f"file-{first + number}", at=at, step=step, metrics=metrics)
        for number, (step, metrics) in enumerate(steps)
    ]

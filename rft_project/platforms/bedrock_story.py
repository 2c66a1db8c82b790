"""What can be told of a Bedrock job's course: the grader's log in CloudWatch, and metric files in S3 if there are any.

What a job for reinforcement fine-tuning writes to S3 is not documented; files with "metrics" in their names and a
column of steps are read, whatever else they hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from .aws import Clients
from .bedrock_values import training_status
from .grader_log import Call, function_of, observed
from .observed_rewards import Cursor, lot_size, steps_of
from .types import EventPage, JsonDict, TrainingEvent

_MOST_BYTES = 20_000_000
#: Pages of a job's output that are looked through, of 1,000 files each.
_MOST_PAGES = 20
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
        grader = (config.get("graderConfig") or {}).get("lambdaGrader") or {}
        created = job.get("creationTime")
        begin = int(created.timestamp() * 1000) if isinstance(created, datetime) else 0
        lot = lot_size(config.get("hyperParameters") or {})
        events, cursor = observed(self._call, function_of(grader.get("lambdaArn")), begin, cursor, lot, final=final)
        if final:
            found = self._files(str((job.get("outputDataConfig") or {}).get("s3Uri") or ""))
            events += _told(found[cursor.rows :], cursor.rows, job)
            cursor = cursor.model_copy(update={"rows": max(cursor.rows, len(found))})
        return EventPage(events=events, cursor=cursor.text() if events or after is not None else None)

    def _files(self, address: str) -> list[tuple[int, dict[str, float]]]:
        """Steps of all metric files under a job's output, in the order of the files' names."""
        place = _S3.match(address)
        if place is None:
            return []
        names = [
            str(file["Key"])
            for file in self._listed(place[1], place[2])
            if re.search(r"metrics[^/]*\.csv\Z", str(file["Key"])) and file["Size"] <= _MOST_BYTES
        ]
        found: list[tuple[int, dict[str, float]]] = []
        for name in sorted(names):
            file = self._call("reading a metric file", "s3", "get_object", Bucket=place[1], Key=name)
            found += steps_of(self._clients.content(file["Body"], "reading a metric file").decode("utf-8", "replace"))
        return found

    def _listed(self, bucket: str, prefix: str) -> Iterator[JsonDict]:
        more: JsonDict = {}
        for _ in range(_MOST_PAGES):
            arguments = {"Bucket": bucket, "Prefix": prefix, **more}
            page = self._call("looking for metric files", "s3", "list_objects_v2", **arguments)
            yield from page.get("Contents", [])
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}


def _told(steps: list[tuple[int, dict[str, float]]], first: int, job: JsonDict) -> list[TrainingEvent]:
    ended = job.get("endTime") or job.get("lastModifiedTime")
    at = ended.timestamp() if isinstance(ended, datetime) else 0.0
    return [
        TrainingEvent(id=f"file-{first + number}", at=at, step=step, metrics=metrics)
        for number, (step, metrics) in enumerate(steps)
    ]

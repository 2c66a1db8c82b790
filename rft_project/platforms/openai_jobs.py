"""What OpenAI's own service does with training jobs beyond the protocol that others copied: pausing, result files."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .errors import PlatformError
from .journal import Journal
from .openai_metrics import result_events
from .openai_protocol import OpenAIProtocol
from .types import EventPage, Handle, JsonDict, State, TrainingRequest, TrainingStatus

#: Between an event's id and the result file that was read after it, in a cursor.
_READ = "+"


class PausableJobs(OpenAIProtocol):
    """``POST …/pause`` and ``…/resume``. A job that is already where it should go counts as sent there."""

    def pause_training(self, handle: Handle) -> None:
        self._turn(handle, "pausing", self._client.fine_tuning.jobs.with_raw_response.pause, ("pausing", "paused"))

    def resume_training(self, handle: Handle) -> None:
        resume = self._client.fine_tuning.jobs.with_raw_response.resume
        self._turn(handle, "resuming", resume, ("resuming", "queued", "running"))

    def _turn(self, handle: Handle, doing: str, call: Callable[[str], Any], done: tuple[str, ...]) -> None:
        try:
            self._json(f"{doing} training", lambda: call(handle.id), urgent=doing == "pausing")
        except PlatformError as error:
            if error.status not in (400, 409) or self.training(handle).word not in done:
                raise


class JobsWithResults(OpenAIProtocol):
    """Where a job that is over never told numbers in its events, its result file's rows are told after them."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._last_seen: dict[str, TrainingStatus] = {}

    def _job(self, request: TrainingRequest, journal: Journal) -> JsonDict:
        """A row that stands in both files is refused there, after both were uploaded."""
        train = {json.dumps(row, sort_keys=True) for row in request.train_rows}
        shared = sum(json.dumps(row, sort_keys=True) in train for row in request.valid_rows)
        if shared:
            rows = "1 row to check with is" if shared == 1 else f"{shared:,} rows to check with are"
            say = f"{rows} also among those to train on, which {self.label} refuses; split the records again."
            raise PlatformError(say, status=400)
        return super()._job(request, journal)

    def training(self, handle: Handle) -> TrainingStatus:
        status = super().training(handle)
        self._last_seen[handle.id] = status
        return status

    def events(self, handle: Handle, after: str | None = None) -> EventPage:
        """The cursor is an event's id, with the result file's id behind it once that was read."""
        last, _, read = (after or "").partition(_READ)
        page = super().events(handle, last or None)
        if read:
            return page.model_copy(update={"cursor": f"{page.cursor}{_READ}{read}"})
        files = [] if _told(page) else self._result_files(handle)
        if not files or (last and _told(super().events(handle))):
            return page
        at = _ended(self._last_seen[handle.id])
        rows = [row for file in files for row in result_events(self._content(file), file, at)]
        return EventPage(events=[*page.events, *rows], cursor=f"{page.cursor}{_READ}{files[0]}")

    def _result_files(self, handle: Handle) -> list[str]:
        """Of a job that succeeded; the others have none, or are not over."""
        status = self._last_seen.get(handle.id) or self.training(handle)
        files = status.raw.get("result_files")
        return [str(file) for file in files] if status.state is State.SUCCEEDED and isinstance(files, list) else []

    def _content(self, file: str) -> bytes:
        read = self._client.files.with_raw_response.content
        content: bytes = self._bytes("reading the result file", lambda: read(file))
        return content


def _ended(status: TrainingStatus) -> float:
    ended = status.raw.get("finished_at")
    return float(ended) if isinstance(ended, int | float) else 0.0


def _told(page: EventPage) -> bool:
    return any(event.metrics for event in page.events)

"""What the progress of a job says in words: true counts of the total, rate, time left, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from rft_project.jobs.models import Job, State
from rft_project.web.text import duration, number

SOON = 15.0  # seconds


@dataclass(frozen=True)
class Work:
    """One job as ``jobs/_job.html`` draws it; ``facts`` are the words after the bold ``lead``."""

    live: bool
    lead: str
    facts: tuple[str, ...]
    left: str  # "8 s", after "about"
    value: str  # attributes of <progress>; max is "" while the length is unknown
    max: str
    label: str
    note: str
    stopping: bool
    failed: str  # the sentence of a failure
    tone: str  # of the closing line: good, note or ""


def rate_text(per_second: float | None) -> str:
    """ "3.2 a second", "12 a minute", "4 an hour": the unit that gives a figure people can picture."""
    if not per_second or per_second <= 0:
        return ""
    for seconds, name in ((1, "a second"), (60, "a minute"), (3600, "an hour")):
        figure = per_second * seconds
        if figure >= 1 or seconds == 3600:
            return f"{number(figure, 1 if figure < 10 else 0)} {name}".replace(".0 ", " ")
    return ""


def counts_text(done: int, total: int) -> str:
    return f"{number(done)} of {number(total)}" if total else number(done)


def _waiting(job: Job, now: datetime) -> tuple[str, ...]:
    if job.run_after is None or job.run_after <= now:
        return ()
    return (f"goes on in {duration((job.run_after - now).total_seconds())}",)


def _soon(job: Job, now: datetime) -> bool:
    """Parked for moments only, between two looks at a platform: to people that is work going on."""
    return job.run_after is None or (job.run_after - now).total_seconds() < SOON


def _live(job: Job, now: datetime) -> tuple[str, tuple[str, ...], str]:
    counted = f"{counts_text(job.done, job.total)} {job.unit}" if job.total or job.done else ""
    phase = (job.phase,) if job.phase else ()
    if job.is_stopping:
        return "Stopping", (counted,) if counted else (), ""
    if job.state == State.WAITING and not (counted and _soon(job, now)):
        return job.note or "Waiting", (*((counted,) if counted else ()), *_waiting(job, now)), ""
    if job.state == State.QUEUED and not job.done:
        return "Waiting for a free worker", (), ""
    if not counted:
        return job.phase or "Starting", (), ""
    rate = rate_text(job.rate)
    eta = job.eta_seconds
    return counted, (*phase, *((rate,) if rate else ())), duration(eta) if eta else ""


def work_of(job: Job, now: datetime | None = None) -> Work:
    """The words for ``job`` at ``now``."""
    now = now or timezone.now()
    facts: tuple[str, ...] = ()
    lead = left = failed = tone = ""
    counted = f"{counts_text(job.done, job.total)} {job.unit}"
    took = f"in {duration(job.seconds)}" if job.seconds is not None else ""
    if job.is_live:
        lead, facts, left = _live(job, now)
    elif job.state == State.FAILED:
        failed = job.error_message or "It stopped with an error."
        lead = f"Stopped after {counted}" if job.done else "Nothing was done"
    elif job.state == State.CANCELLED:
        lead, tone = f"Stopped after {counted}", "note"
    else:
        lead, tone = f"{number(job.done)} {job.unit}" if job.done else "Done", "good"
        facts = (took,) if took else ()
    unknown = job.is_live and not job.total
    return Work(
        live=job.is_live,
        lead=lead,
        facts=facts,
        left=left,
        value="" if unknown else str(job.done),
        max="" if unknown else str(job.total or 1),
        label=f"{lead}",
        note=job.note if job.is_live and job.note != lead else "",
        stopping=job.is_stopping,
        failed=failed,
        tone=tone,
    )

"""Which models a run can be trained on: what platforms offer today, and whether they take the run's rows and grader."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import date

from rft_project.connections.models import Connection
from rft_project.connections.services import platform_for
from rft_project.platforms.base import Platform
from rft_project.platforms.errors import PlatformError
from rft_project.platforms.types import Access, Capabilities, ModelInfo
from wizard_app.core.fitting import Misfit, closed, misfits

from .items import allowed_answers, row_facts
from .models import RFTJob

#: Seconds a page waits for platforms to say what they offer; all are asked at the same time.
PATIENCE = 10.0
#: What a connection offers, or why it could not be asked.
Offered = Capabilities | PlatformError


def trainable(connection: Connection) -> list[ModelInfo]:
    """Base models a run may start on today; asks the platform. Raises PlatformError."""
    found = platform_for(connection).capabilities()
    open_ones = [m for m in found.models if m.method == "reinforcement" and m.access is not Access.RETIRED]
    return open_ones if found.train else []


def model_info(connection: Connection, model: str) -> ModelInfo | None:
    """The catalogue's entry of a base model, as the account stands; asks the platform."""
    return next((m for m in platform_for(connection).capabilities().models if m.id == model), None)


def offered(connections: list[Connection], patience: float = PATIENCE) -> list[Offered]:
    """What each connection offers, in order. One that does not answer in time holds up no other."""
    if not connections:
        return []
    pool = ThreadPoolExecutor(max_workers=min(8, len(connections)))
    futures = [pool.submit(_asked, _built(connection)) for connection in connections]
    wait(futures, timeout=patience)
    pool.shutdown(wait=False, cancel_futures=True)
    return [_answer(future, patience) for future in futures]


def _built(connection: Connection) -> Platform | PlatformError:
    """Made here and not in the thread: credentials come from the database."""
    try:
        return platform_for(connection)
    except PlatformError as problem:
        return problem


def _asked(platform: Platform | PlatformError) -> Offered:
    if isinstance(platform, PlatformError):
        return platform
    try:
        return platform.capabilities()
    except PlatformError as problem:
        return problem


def _answer(future: Future[Offered], patience: float) -> Offered:
    if not future.done() or future.cancelled():
        return PlatformError(f"It did not answer within {patience:g} seconds; load the page again to ask once more.")
    return future.result()


def unfit(run: RFTJob, info: ModelInfo) -> list[Misfit]:
    """What ``info`` does not take of the run's split and grader, worst first; [] before the split."""
    if run.snapshot is None:
        return []
    answers = len(allowed_answers(run.frozen)) if info.needs_allowed_answers else 0
    return misfits(info, row_facts(run.frozen), run.grader_config or {}, answers)


def forbidden(connection: Connection, work: str) -> str:
    """The sentence why an owner's word keeps ``connection`` from ``work`` (``sample`` or ``train``), '' where none
    does."""
    if getattr(connection, f"may_{work}"):
        return ""
    done = {"sample": "answer in runs", "train": "train"}[work]
    return f"{connection.name} may not {done}: an owner of the workspace decides that on the page of connections."


def dry_run_refusal(run: RFTJob, info: ModelInfo) -> str:
    """Why a dry run on ``info`` would be for nothing today, '' when it would not."""
    found = [closed(info, date.today()), *(misfit for misfit in unfit(run, info) if misfit.blocks and not misfit.later)]
    return next((str(misfit) for misfit in found if misfit is not None), "")


def training_refusal(run: RFTJob, info: ModelInfo | None) -> str:
    """Why training must not be started today, '' when it may. ``info``: None where the platform has no such model."""
    if said := forbidden(run.platform_connection, "train"):
        return said
    if info is None or info.method != "reinforcement":
        name = run.platform_connection.name
        return f"{name} has no model called {run.base_model} that can be trained; choose another."
    found = [closed(info, date.today()), *(misfit for misfit in unfit(run, info) if misfit.blocks)]
    return next((str(misfit) for misfit in found if misfit is not None), "")

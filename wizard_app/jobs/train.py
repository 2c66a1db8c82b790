"""Training: start it once, then look in from time to time. No worker waits on a platform."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db.models import Max

from datasets_app.consent import about_snapshot, refuse_unasked
from datasets_app.core.records import clean_text
from graders_app.core.compiling import HOSTED, lambda_zip, openai_document
from graders_app.core.errors import GraderError
from rft_project.connections.scrub import scrub
from rft_project.connections.services import platform_for
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import Cancelled, JobFailed, WaitUntil
from rft_project.ledger import services as ledger
from rft_project.money.expenses import CapReached
from rft_project.platforms.base import Platform
from rft_project.platforms.errors import PlatformError, Unknown
from rft_project.platforms.types import EventPage, Handle, JsonDict, ModelInfo, State, TrainingRequest, TrainingStatus
from wizard_app import flow, paying
from wizard_app.attempts import as_trained, handle_of
from wizard_app.choosing import model_info, training_refusal
from wizard_app.core.answering import with_effort
from wizard_app.items import TRAIN, VALID, allowed_answers, rows_of
from wizard_app.models import Checkpoint, MetricPoint, RFTJob, RunEvent
from wizard_app.receivers import judge_connection
from wizard_app.schemas import TrainParams, TrainResult
from wizard_app.services import finish_step, queue_evaluation

LOOK_LOCAL, LOOK_REMOTE, LOOK_PAUSED = 1.5, 10.0, 60.0  # seconds between two looks at a job
AGAIN_LOCAL, AGAIN_REMOTE, AGAIN_MOST = 3.0, 30.0, 3600.0  # the same after a look that failed
ENDED_BY_PLATFORM = "training_failed"  # error code of a training job that is over at the platform too


def run_train(ctx: JobContext) -> TrainResult:
    """One look at the platform's job; starts it when there is none yet. Parks itself until the next look."""
    run = as_trained(
        RFTJob.objects.select_related("snapshot", "connection", "workspace", "dataset").get(pk=ctx.params["run"])
    )
    if run.connection is None or run.snapshot is None:
        raise JobFailed("The run has no connection or split any more; go back and choose them.", "incomplete")
    platform = platform_for(run.platform_connection)
    try:
        ctx.check()
        if not run.training_handle:
            _start_once(ctx, run, platform)
        status = _patient_look(ctx, run, platform)
        _count(ctx, run, platform, status)
    except Cancelled:
        _cancel(ctx, run, platform)
        raise
    if not status.state.final:
        often = LOOK_LOCAL if run.connection.kind == "local" else LOOK_REMOTE
        raise WaitUntil(LOOK_PAUSED if status.state is State.PAUSED else often, waiting_note(status))
    if status.state is not State.SUCCEEDED or not status.model:
        raise JobFailed(status.detail or f"The platform ended the training: {status.word}.", ENDED_BY_PLATFORM)
    return _conclude(ctx, run, status)


def _count(ctx: JobContext, run: RFTJob, platform: Platform, status: TrainingStatus) -> None:
    """Write down what it has cost. Past a cap the training is paused where it can be, else ended; what it has made is
    kept. Raises JobFailed then; after the cap was raised, a paused one goes on where it was."""
    handle = Handle(id=run.training_handle)
    try:
        paying.count_training(run)
    except CapReached as reached:
        if status.state.final:
            return
        pause = platform.capabilities().pause
        (platform.pause_training if pause else platform.cancel_training)(handle)
        with ctx.batch() as batch:
            batch.cursor = {**ctx.cursor, "capped": pause}
        done = "The training is paused" if pause else "The training was ended; its checkpoints are kept"
        raise JobFailed(f"{done}. {reached}", "cap") from None
    if status.state is State.PAUSED and ctx.cursor.get("capped"):
        platform.resume_training(handle)
        with ctx.batch() as batch:
            batch.cursor = {**ctx.cursor, "capped": False}


def waiting_note(status: TrainingStatus) -> str:
    """What to say besides the counts: nothing while it simply runs, else the platform's own words."""
    if status.detail:
        return status.detail
    return "" if status.state is State.RUNNING else f"The platform says “{status.word}”."


def training_request(run: RFTJob, info: ModelInfo | None) -> TrainingRequest:
    """Exactly what is sent: the frozen rows, the frozen grader, the settings, and the key of this intent."""
    params = TrainParams.model_validate(run.steps.get(step=flow.TRAIN).params)
    return TrainingRequest(
        key=run.training_key,
        model=run.base_model,
        train_rows=rows_of(run.frozen, TRAIN),
        valid_rows=rows_of(run.frozen, VALID),
        grader=grader_document(run),
        grader_package=grader_package(run) if info is not None and info.packed_grader else b"",
        hyperparameters=with_effort(info, params.hyperparameters, params.reasoning_effort),
        options=params.options,
        suffix=params.suffix,
        seed=params.seed,
        response_format=params.response_format,
        allowed_answers=allowed_answers(run.frozen) if info is not None and info.needs_allowed_answers else [],
    )


def grader_document(run: RFTJob) -> JsonDict:
    """The grader as the platform runs it. A hosted one knows no roles, and puts a judge's own number into the formula.
    Raises JobFailed with what does not fit."""
    kind, config = run.platform_connection.kind, run.grader_config or {}
    if kind not in HOSTED:
        return config
    judge = judge_connection(run)
    model = judge.judge_model if judge is not None and judge.kind == kind else ""
    try:
        return openai_document(config, platform=kind, judge_model=model)
    except GraderError as error:
        raise JobFailed(f"The grader can't run at {HOSTED[kind]}: {error}", "unfit") from error


def grader_package(run: RFTJob) -> bytes:
    """The grader as a reward function for Bedrock. Its role ``judge`` is the judge model of a Bedrock connection: the
    function can ask no other. Raises JobFailed with what does not fit."""
    judge = judge_connection(run)
    model = judge.judge_model if judge is not None and judge.kind.startswith("bedrock") else ""
    try:
        return lambda_zip(run.grader_config or {}, judge_model=model)
    except GraderError as error:
        raise JobFailed(f"The grader can't become a reward function of Bedrock: {error}", "unfit") from error


def _start_once(ctx: JobContext, run: RFTJob, platform: Platform) -> None:
    """Parks the job while it can't be told whether an earlier start took effect."""
    try:
        _start(ctx, run, platform)
    except Unknown as error:
        raise _waiting(error) from error


def _waiting(error: Unknown) -> WaitUntil:
    return WaitUntil(AGAIN_REMOTE if error.retry_after is None else error.retry_after, scrub(str(error)))


def _start(ctx: JobContext, run: RFTJob, platform: Platform) -> None:
    """The key was stored before; the ledger and the adapter find the job an earlier attempt made with it."""
    refuse_unasked(about_snapshot(run.frozen, run.platform_connection))
    info = model_info(run.platform_connection, run.base_model)
    refusal = training_refusal(run, info) or _unaffordable(run)
    if refusal and handle_of(run, platform) is None:  # it may have closed while the run waited
        raise JobFailed(refusal, "unfit")
    journal = ledger.journal(run.platform_connection, run.training_key, f"training of {run.name}")
    handle = platform.start_training(training_request(run, info), journal)
    run.training_handle = handle.id
    with ctx.batch():
        run.save(update_fields=["training_handle"])


def _unaffordable(run: RFTJob) -> str:
    """The sentence why not even the least that the training may cost is left, '' where it is."""
    params = TrainParams.model_validate(run.steps.get(step=flow.TRAIN).params)
    try:
        paying.may_train(run, params.hyperparameters)
    except CapReached as reached:
        return f"The training was not started. {reached}"
    return ""


def _patient_look(ctx: JobContext, run: RFTJob, platform: Platform) -> TrainingStatus:
    """A look that fails in passing is made again for as long as it takes: the job is at work and may be paid for."""
    try:
        return _look(ctx, run, platform)
    except PlatformError as error:
        if error.status == 404:
            sentence = f"{platform.label} no longer knows this training job; start training again."
            raise JobFailed(sentence, ENDED_BY_PLATFORM) from error
        if not error.retryable:
            raise
        usual = AGAIN_LOCAL if platform.kind == "local" else AGAIN_REMOTE
        wait = usual if error.retry_after is None else min(error.retry_after, AGAIN_MOST)
        raise WaitUntil(wait, f"{scrub(str(error))} Looking again.") from error


def _look(ctx: JobContext, run: RFTJob, platform: Platform) -> TrainingStatus:
    """Write down what happened since the last look; the cursor moves with the rows it stands for."""
    handle = Handle(id=run.training_handle)
    status = platform.training(handle)
    while True:
        page = platform.events(handle, run.event_cursor or None)
        _keep(ctx, run, page, status)
        if not page.events or page.cursor == run.event_cursor:
            break
        run.event_cursor = page.cursor or run.event_cursor
    checkpoints = [
        Checkpoint(run=run, remote_id=found.id, model=found.model, step=found.step, metrics=found.metrics)
        for found in platform.checkpoints(handle)
    ]
    with ctx.batch():
        # Platforms keep the last or best few only, and never change one they made.
        run.checkpoints.exclude(remote_id__in=[checkpoint.remote_id for checkpoint in checkpoints]).delete()
        Checkpoint.objects.bulk_create(checkpoints, ignore_conflicts=True)
    step = status.step or run.metrics.aggregate(last=Max("step"))["last"] or 0
    if step or status.total_steps:  # some platforms say neither: then the steps seen so far are counted
        ctx.progress.begin("Training", done=step, total=status.total_steps)
    ctx.check()
    return status


def _keep(ctx: JobContext, run: RFTJob, page: EventPage, status: TrainingStatus) -> None:
    points, lines = [], []
    for event in page.events:
        if event.step is not None:
            for series, value in event.metrics.items():
                points.append(MetricPoint(run=run, series=series[:80], step=event.step, value=value))
        if event.message:
            at = datetime.fromtimestamp(event.at, UTC)
            message = clean_text(event.message)
            lines.append(RunEvent(run=run, remote_id=event.id, at=at, level=event.level[:10], message=message))
    with ctx.batch():
        MetricPoint.objects.bulk_create(points, ignore_conflicts=True)
        RunEvent.objects.bulk_create(lines, ignore_conflicts=True)
        RFTJob.objects.filter(pk=run.pk).update(
            event_cursor=page.cursor or run.event_cursor,
            training_word=status.word[:60],
            training_state=status.state.value,
        )


def _cancel(ctx: JobContext, run: RFTJob, platform: Platform) -> None:
    """Also the job that an earlier claim started without living to store its handle; one that the platform's list may
    not show yet is waited for."""
    try:
        handle = handle_of(run, platform) if run.training_handle or ctx.job.fence > 1 else None
    except Unknown as error:
        raise _waiting(error) from error
    if handle is not None:
        platform.cancel_training(handle)


def _conclude(ctx: JobContext, run: RFTJob, status: TrainingStatus) -> TrainResult:
    """The digest of what it came from is the one taken at the start: the run's choices may have changed since."""
    run.tuned_model = status.model or ""
    started = run.steps.get(step=flow.TRAIN)
    valid = list(run.metrics.filter(series="valid_reward").order_by("step").values_list("value", flat=True))
    seconds: Any = sum(run.metrics.filter(series="seconds").values_list("value", flat=True))
    last = run.metrics.order_by("-step").values_list("step", flat=True).first()
    result = TrainResult(
        model=run.tuned_model,
        steps=status.step or last or 0,
        detail=status.detail,
        best_valid_reward=max(valid, default=None),
        first_valid_reward=valid[0] if valid else None,
        seconds=round(float(seconds), 1),
    )
    with ctx.batch():
        run.save(update_fields=["tuned_model"])
        finish_step(run, flow.TRAIN, TrainParams.model_validate(started.params), result, digest=started.input_digest)
        if run.platform_connection.kind not in flow.DEPLOYED_FIRST:
            queue_evaluation(run, by=run.created_by)
    return result

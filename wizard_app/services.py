"""What people do in the wizard, as functions; pages and ``run_pipeline`` call the same ones."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from datasets_app import consent
from datasets_app.core.rows import item_of
from datasets_app.models import Dataset
from graders_app.core.evaluate import GraderError
from graders_app.core.spec import item_fields, parse_grader
from graders_app.models import Grader
from rft_project.connections.models import AuditEntry
from rft_project.jobs.models import Job, live_job
from rft_project.jobs.services import HasPk, enqueue, retry

from . import attempts, flow
from .attempts import Earlier
from .choosing import dry_run_refusal, forbidden, model_info, training_refusal
from .core.answering import effort_conflict, effort_refusal, form_refusal
from .items import allowed_answers, answer_tokens
from .models import RFTJob, StepResult
from .receivers import ask_first
from .sampling import Plan
from .schemas import DryRunParams, GraderParams, GraderSummary, Stored, TrainParams


class Refused(Exception):
    """A request that cannot be met; the text is one sentence for people."""


def create_run(dataset: Dataset, name: str, *, by: HasPk | None) -> RFTJob:
    """Raises Refused when the workspace has a run of that name."""
    try:
        with transaction.atomic():
            return RFTJob.objects.create(
                workspace=dataset.workspace, dataset=dataset, name=name.strip(), created_by_id=by.pk if by else None
            )
    except IntegrityError:
        raise Refused(f"There is already a run called {name.strip()}; choose another name.") from None


def finish_step(run: RFTJob, slug: str, params: Stored, summary: Stored, *, digest: str = "") -> StepResult:
    """Store a step's outcome with the digest of what it came from (``digest``, where that was taken at the start)."""
    given = params.model_dump(mode="json")
    result, _ = StepResult.objects.update_or_create(
        run=run,
        step=slug,
        defaults={
            "params": given,
            "summary": summary.model_dump(mode="json"),
            "input_digest": digest or flow.digest_of(run, slug, given),
            "finished_at": timezone.now(),
        },
    )
    return result


# --- G: grader


def choose_grader(run: RFTJob, grader: Grader) -> GraderSummary:
    """Freeze the grader's document on the run, and count the records that lack a field it reads."""
    if run.snapshot is None:
        raise Refused("Split the dataset first, so that the grader's fields can be looked up in it.")
    try:
        spec = parse_grader(grader.config)
    except GraderError as error:
        raise Refused(str(error)) from None
    reads = sorted(item_fields(spec))
    missing: dict[str, int] = {}
    records = 0
    for item in run.snapshot.items.iterator():
        records += 1
        have = item_of(item.trace)
        for name in reads:
            if have.get(name) is None:
                missing[name] = missing.get(name, 0) + 1
    run.grader, run.grader_config = grader, grader.config
    run.save(update_fields=["grader", "grader_config"])
    summary = GraderSummary(name=str(grader), type=spec.type, reads=reads, missing=missing, records=records)
    finish_step(run, flow.GRADER, GraderParams(grader=grader.pk), summary)
    return summary


# --- H: dry run


def start_dry_run(run: RFTJob, params: DryRunParams, *, by: Any, agreed: str = "") -> Job:
    """Queue the dry run; asking twice finds the one at work, whatever the second asks for.

    What the model is told of the answers' form is settled here, once. ``agreed``: see ``consent.ask_first``; this and
    the other functions that send records raise Unasked.
    """
    if run.snapshot is None or run.grader_config is None:
        raise Refused("Split the dataset and choose a grader first.")
    state = flow.state_of(run, flow.DRY_RUN)
    if state.job is not None and state.live:
        return state.job
    connection = run.workspace.connections.filter(pk=params.connection).first()
    if connection is None:
        raise Refused("Choose one of this workspace's connections.")
    if said := forbidden(connection, "sample"):
        raise Refused(said)
    info = model_info(connection, params.model)
    if info is None:
        raise Refused(f"{connection.name} has no model called {params.model}; choose another.")
    refusal = dry_run_refusal(run, info) or effort_refusal(info, params.reasoning_effort)
    refusal = refusal or form_refusal(info, params.response_format)
    if refusal:
        raise Refused(refusal)
    ask_first(run, connection, agreed=agreed, by=by)
    most = answer_tokens(run.frozen, info, params.reasoning_effort)
    settled = params.model_copy(
        update={"max_tokens": params.max_tokens or most, "from_list": info.needs_allowed_answers}
    )
    with transaction.atomic():
        run.connection, run.base_model = connection, params.model
        run.save(update_fields=["connection", "base_model"])
        job = enqueue("dry_run", {"run": run.pk}, lock_key=f"run:{run.pk}:dry_run", by=by, unit="answers")
        StepResult.objects.update_or_create(
            run=run,
            step=flow.DRY_RUN,
            defaults={"params": settled.model_dump(mode="json"), "job": job, "finished_at": None},
        )
    return job


def plan_of(run: RFTJob, params: DryRunParams) -> Plan:
    """What the dry run asks of each prompt, from what was settled at its start: the page asks no platform."""
    return Plan(
        connection_pk=params.connection,
        model=params.model,
        answers=params.answers,
        temperature=params.temperature,
        max_tokens=params.max_tokens or answer_tokens(run.frozen, None),
        seed=params.seed,
        allowed=allowed_answers(run.frozen) if params.from_list else [],
        effort=params.reasoning_effort,
        form=params.response_format,
    )


def override_no_go(run: RFTJob, reason: str, *, by: Any) -> None:
    """Train in spite of a NO-GO: the reason is kept with the run and in the audit log."""
    reason = reason.strip()
    if len(reason) < 10:
        raise Refused("Say in a sentence why training should start all the same.")
    result = run.steps.filter(step=flow.DRY_RUN).first()
    if result is None or result.finished_at is None:
        raise Refused("There is no dry run to override yet.")
    result.params = {**result.params, "override": reason[:300]}
    result.save(update_fields=["params"])
    AuditEntry.write("override dry run", run, workspace=run.workspace, actor=by, detail=reason)


# --- I: train


def start_training(run: RFTJob, params: TrainParams, *, by: Any, agreed: str = "") -> Job:
    """Queue training. The key that makes it idempotent is written first and travels to the platform.

    An attempt that ended here while the platform went on with it is followed, not made again. Raises PlatformError
    where the platform cannot say what became of the last attempt.
    """
    state = flow.state_of(run, flow.TRAIN)
    if state.closed:
        raise Refused(state.closed)
    if state.job is not None and state.live:
        return state.job
    spent = state.done
    if state.job is not None and not state.done:
        earlier = attempts.earlier(run, state.job)
        if earlier is Earlier.FOLLOW:
            return retry(state.job)
        spent = earlier is Earlier.OVER
    info = model_info(run.platform_connection, run.base_model)
    params = _as_in_the_dry_run(run, params)
    refusal = training_refusal(run, info) or effort_conflict(info, params.hyperparameters, params.reasoning_effort)
    if refusal:
        raise Refused(refusal)
    consent.ask_first(consent.about_snapshot(run.frozen, run.platform_connection), agreed=agreed, by=by)
    return _new_training(run, params, spent=spent, by=by)


def _as_in_the_dry_run(run: RFTJob, params: TrainParams) -> TrainParams:
    """``params`` with the model and the way of asking that the dry run has measured."""
    measured = run.steps.filter(step=flow.DRY_RUN).first()
    asked = {name: measured.params.get(name) for name in flow.AS_ASKED} if measured is not None else {}
    kept = {name: value for name, value in asked.items() if value is not None}
    return TrainParams.model_validate(
        {**params.model_dump(), "reasoning_effort": "", "response_format": None, **kept}
        | {"connection": str(run.connection_id), "model": run.base_model}
    )


def _new_training(run: RFTJob, params: TrainParams, *, spent: bool, by: Any) -> Job:
    """Write intent and job together. ``spent``: the key has had its training, a new one on purpose needs another.

    Of two people who press at one moment only one finds the key as both saw it; the other gets that one's job.
    """
    seen, lock = run.training_key, f"run:{run.pk}:train"
    fields: dict[str, Any] = {"hyperparameters": params.hyperparameters, "seed": params.seed}
    if spent or not seen:
        cleared = ("training_handle", "training_word", "training_state", "event_cursor", "tuned_model")
        fields |= {**dict.fromkeys(cleared, ""), "training_key": uuid.uuid4().hex}
    given = params.model_dump(mode="json")
    with transaction.atomic():
        if not RFTJob.objects.filter(pk=run.pk, training_key=seen).update(**fields):
            found = live_job(lock)
            if found is None:
                raise Refused("Somebody started this training a moment ago; load the page again to see it.")
            return found
        run.refresh_from_db(fields=list(fields))
        if spent:
            for rows in (run.metrics, run.checkpoints, run.events):
                rows.all().delete()
        job = enqueue("train", {"run": run.pk}, lock_key=lock, by=by, unit="steps")
        defaults = {"params": given, "input_digest": flow.digest_of(run, flow.TRAIN, given), "job": job}
        StepResult.objects.update_or_create(run=run, step=flow.TRAIN, defaults={**defaults, "finished_at": None})
        AuditEntry.write("start training", run, workspace=run.workspace, actor=by, detail=run.base_model)
    return job


# --- J: results


def start_evaluation(run: RFTJob, *, by: Any, agreed: str = "") -> Job:
    """Queue the comparison of base and tuned model on the validation prompts."""
    if not run.tuned_model:
        raise Refused("There is no tuned model yet; train first.")
    _ask_about_trained(run, agreed, by)
    return queue_evaluation(run, by=by)


def _ask_about_trained(run: RFTJob, agreed: str, by: Any) -> None:
    trained = attempts.as_trained(RFTJob.objects.get(pk=run.pk))
    ask_first(trained, trained.platform_connection, agreed=agreed, by=by)


def queue_evaluation(run: RFTJob, *, by: HasPk | None) -> Job:
    """The same where nobody can be asked, at the end of the training: the job itself refuses what was not."""
    with transaction.atomic():
        job = enqueue("evaluate", {"run": run.pk}, lock_key=f"run:{run.pk}:evaluate", by=by, unit="answers")
        StepResult.objects.update_or_create(
            run=run, step=flow.RESULTS, defaults={"params": {}, "job": job, "finished_at": None}
        )
    return job


def again(run: RFTJob, step: str, *, by: Any, agreed: str = "") -> Job:
    """A step whose job failed or was stopped goes on from where it was. Raises Refused or PlatformError."""
    state = flow.state_of(run, step)
    if state.job is None or state.result is None:
        raise Refused("Nothing was started in this step yet.")
    if state.done:
        return state.job
    if step == flow.TRAIN:  # whether the platform goes on with it decides what starting again means
        return start_training(run, TrainParams.model_validate(state.result.params), by=by, agreed=agreed)
    if step == flow.RESULTS:
        _ask_about_trained(run, agreed, by)
    else:
        ask_first(run, run.platform_connection, agreed=agreed, by=by)
    return retry(state.job)

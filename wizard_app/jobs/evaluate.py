"""Base and tuned model on the same frozen validation prompts, with the same grader."""

from __future__ import annotations

from django.utils import timezone

from datasets_app.consent import refuse_unasked
from datasets_app.models import SnapshotItem
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import JobFailed
from rft_project.money.models import Purpose
from wizard_app import flow
from wizard_app.attempts import as_trained
from wizard_app.choosing import model_info
from wizard_app.core.outcome import Pair, judge
from wizard_app.items import VALID, allowed_answers, answer_tokens
from wizard_app.models import RFTJob, Rollout
from wizard_app.receivers import question_about
from wizard_app.sampling import Plan, collect
from wizard_app.schemas import ResultsSummary, Stored, TrainParams
from wizard_app.services import finish_step


def run_evaluate(ctx: JobContext) -> ResultsSummary:
    """Greedy answers of both models to every validation prompt; then the verdict over the pairs."""
    run = as_trained(RFTJob.objects.select_related("snapshot", "connection", "workspace").get(pk=ctx.params["run"]))
    if run.snapshot is None or run.connection is None or run.grader_config is None or not run.tuned_model:
        raise JobFailed("There is no tuned model to compare; train first.", "incomplete")
    refuse_unasked(question_about(run, run.connection))
    items = list(run.snapshot.items.filter(part=VALID).order_by("pk"))
    base, tuned = evaluation_plan(run, run.base_model), evaluation_plan(run, run.tuned_model)
    for plan in (base, tuned):
        collect(ctx, run, items, plan, run.grader_config, Purpose.EVALUATION)
    found = pairs_of(run, items, base.key, tuned.key)
    if not found:
        raise JobFailed("No answer of both models could be graded; look at the grader's errors.", "nothing_graded")
    summary = ResultsSummary(
        outcome=judge(found),
        base_key=base.key,
        tuned_key=tuned.key,
        ungraded=len(items) - len(found),
        finished=timezone.now(),
    )
    with ctx.batch():
        finish_step(run, flow.RESULTS, Stored(), summary)
    return summary


def evaluation_plan(run: RFTJob, model: str) -> Plan:
    """Greedy, one answer each, as long as in the dry run, asked for as it was trained."""
    assert run.snapshot is not None and run.connection is not None
    info = model_info(run.platform_connection, run.base_model)
    dry_run = run.steps.filter(step=flow.DRY_RUN).first()
    trained = run.steps.filter(step=flow.TRAIN).first()
    asked = TrainParams.model_validate(trained.params) if trained is not None else TrainParams()
    longest = (dry_run.params.get("max_tokens") if dry_run is not None else None) or answer_tokens(
        run.snapshot, info, asked.reasoning_effort
    )
    return Plan(
        str(run.connection_id),
        model,
        1,
        0.0,
        longest,
        allowed=allowed_answers(run.frozen) if info is not None and info.needs_allowed_answers else [],
        effort=asked.reasoning_effort,
        form=asked.response_format,
    )


def pairs_of(run: RFTJob, items: list[SnapshotItem], base_key: str, tuned_key: str) -> list[Pair]:
    """Prompts that both models answered and the grader could score."""
    rewards: dict[tuple[str, int], float] = {}
    asked = Rollout.objects.filter(run=run, sampling_key__in=[base_key, tuned_key]).exclude(reward=None)
    for key, item, reward in asked.values_list("sampling_key", "item", "reward"):
        rewards[key, item] = float(reward or 0.0)
    return [
        Pair(item.pk, rewards[base_key, item.pk], rewards[tuned_key, item.pk], item.topic or None)
        for item in items
        if (base_key, item.pk) in rewards and (tuned_key, item.pk) in rewards
    ]

"""The dry run: sample the base model, score, and say what the numbers say before anything is paid for."""

from __future__ import annotations

from collections import defaultdict
from hashlib import blake2b

from datasets_app.consent import refuse_unasked
from datasets_app.models import SnapshotItem
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import JobFailed
from rft_project.money.models import Purpose
from wizard_app import flow
from wizard_app.core.diagnosis import diagnose
from wizard_app.core.splitting import quotas
from wizard_app.core.statistics import PromptScores, summarize
from wizard_app.items import TRAIN
from wizard_app.models import RFTJob, Rollout
from wizard_app.receivers import question_about
from wizard_app.sampling import collect
from wizard_app.schemas import DryRunParams, DryRunResult
from wizard_app.services import finish_step, plan_of


def run_dry_run(ctx: JobContext) -> DryRunResult:
    """Answers that are there are not asked for again, whatever happened in between."""
    run = RFTJob.objects.select_related("snapshot", "connection", "dataset", "workspace").get(pk=ctx.params["run"])
    if run.snapshot is None or run.connection is None or run.grader_config is None:
        raise JobFailed("The run has no split, grader or connection any more; go back and choose them.", "incomplete")
    refuse_unasked(question_about(run, run.connection))
    params = DryRunParams.model_validate(run.steps.get(step=flow.DRY_RUN).params)
    items = sampled(run, params)
    plan = plan_of(run, params)
    collect(ctx, run, items, plan, run.grader_config, Purpose.DRY_RUN)
    result = result_of(run, items, plan.key)
    with ctx.batch():
        finish_step(run, flow.DRY_RUN, params, result)
    return result


def sampled(run: RFTJob, params: DryRunParams) -> list[SnapshotItem]:
    """``params.size`` training prompts, in proportion to the topics; all of them when there are fewer."""
    assert run.snapshot is not None
    by_topic: dict[str, list[SnapshotItem]] = defaultdict(list)
    items = list(run.snapshot.items.filter(part=TRAIN).order_by("pk"))
    if len(items) <= params.size:
        return items
    for item in sorted(items, key=lambda item: _order(params.seed, item)):
        by_topic[item.topic].append(item)
    shares = quotas({topic: len(members) for topic, members in by_topic.items()}, params.size)
    chosen = [item for topic, members in by_topic.items() for item in members[: shares[topic]]]
    return sorted(chosen, key=lambda item: item.pk)


def _order(seed: int, item: SnapshotItem) -> str:
    return blake2b(f"{seed}:{item.fingerprint}".encode(), digest_size=8).hexdigest()


def scores_of(run: RFTJob, items: list[SnapshotItem], key: str) -> list[PromptScores]:
    """The scored answers per prompt. A call that failed counts as an answer that could not be graded."""
    found: dict[int, list[Rollout]] = defaultdict(list)
    for rollout in Rollout.objects.filter(run=run, sampling_key=key, item__in=[i.pk for i in items]).order_by("pk"):
        found[rollout.item_id].append(rollout)
    scores = []
    for item in items:
        rollouts = found.get(item.pk, [])
        if not rollouts:
            continue
        names = {name for rollout in rollouts for name in rollout.sub_rewards}
        components = {name: tuple(r.sub_rewards.get(name) for r in rollouts) for name in sorted(names)}
        scores.append(PromptScores(item.pk, tuple(r.reward for r in rollouts), item.topic or None, components))
    return scores


def result_of(run: RFTJob, items: list[SnapshotItem], key: str) -> DryRunResult:
    """Figures and verdict over the answers there are so far."""
    summary = summarize(scores_of(run, items, key))
    rollouts = Rollout.objects.filter(run=run, sampling_key=key, item__in=[i.pk for i in items])
    tokens_in = tokens_out = failed = 0
    seconds = 0.0
    for prompt_tokens, completion_tokens, took, error in rollouts.values_list(
        "prompt_tokens", "completion_tokens", "seconds", "error"
    ):
        tokens_in += prompt_tokens
        tokens_out += completion_tokens
        seconds += took
        failed += bool(error)
    return DryRunResult(
        summary=summary,
        diagnosis=diagnose(summary),
        sampling_key=key,
        prompts_asked=len(items),
        failed_calls=failed,
        prompt_tokens=tokens_in,
        completion_tokens=tokens_out,
        seconds=round(seconds, 2),
    )

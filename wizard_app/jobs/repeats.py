"""The same answers judged three times over."""

from __future__ import annotations

from datasets_app.consent import refuse_unasked
from datasets_app.core.rows import item_of
from graders_app.core.agreement import choose_for_rating, self_consistency
from graders_app.core.evaluate import GraderError, JailUnavailable, make_sample
from graders_app.judging import open_for
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import JobFailed
from wizard_app.attacking import mark_of
from wizard_app.calibration import scored_answers
from wizard_app.models import Repeats, RFTJob
from wizard_app.paying import judging_account
from wizard_app.receivers import about_judge
from wizard_app.schemas import RepeatsSummary

ANSWERS = 12  # spread over the scores
AGAIN = 2  # times each is asked about beside the first


def run_repeats(ctx: JobContext) -> RepeatsSummary:
    """What the judge has said to a repeat is kept, so a job that starts over pays nothing twice."""
    run = RFTJob.objects.select_related("snapshot", "workspace", "dataset").get(pk=ctx.params["run"])
    if run.snapshot is None or run.grader_config is None:
        raise JobFailed("The run has no split or grader any more; go back and choose them.", "incomplete")
    refuse_unasked(about_judge(run))
    rollouts = scored_answers(run)
    chosen = choose_for_rating([r.reward or 0.0 for r in rollouts], [""] * len(rollouts), count=ANSWERS, seed=run.seed)
    asked = [rollouts[at] for at in chosen]
    pairs = [(make_sample(r.answer, r.tool_calls), item_of(r.item.trace)) for r in asked]
    rewards: list[list[float]] = [[r.reward or 0.0] for r in asked]
    ctx.progress.begin("Asking the judge again", total=len(pairs) * AGAIN)
    try:
        for repeat in range(1, AGAIN + 1):
            with open_for(run.workspace, run.grader_config, repeat=repeat, account=judging_account(run)) as grader:
                results = grader.grade_many(pairs)
            for mine, result in zip(rewards, results, strict=True):
                if result.reward is not None:
                    mine.append(result.reward)
            with ctx.batch(done=len(pairs)):
                pass
            ctx.check()
    except (GraderError, JailUnavailable) as error:
        raise JobFailed(str(error), "grader") from None
    spread = self_consistency(rewards)
    if spread is None:
        raise JobFailed("The judge gave no score to any of the repeated questions; check its connection.", "judge")
    summary = RepeatsSummary(spread=spread, answers=sum(len(mine) > 1 for mine in rewards))
    with ctx.batch():
        Repeats.objects.filter(run=run).update(mark=mark_of(run), spread=summary.spread, answers=summary.answers)
    return summary

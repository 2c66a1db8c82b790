"""The attack: can the run's grader be cheated? Asked with the run's own records, before anybody trains on it."""

from __future__ import annotations

from dataclasses import replace

from datasets_app.consent import refuse_unasked
from datasets_app.core.rows import item_of
from datasets_app.models import SnapshotItem
from graders_app.core.attacks import AttackReport, CheatResult, run_attack
from graders_app.core.cheats import Case
from graders_app.core.evaluate import GraderError, JailUnavailable
from graders_app.judging import asks_a_judge, open_for
from rft_project.connections.services import is_own_engine
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import JobFailed
from rft_project.platforms.types import text_of
from wizard_app.attacking import mark_of
from wizard_app.core.digests import digest_ids
from wizard_app.models import Attack, RFTJob
from wizard_app.paying import judging_account
from wizard_app.receivers import about_judge, judge_connection
from wizard_app.schemas import AttackSummary, FooledBy

CASES, CASES_JUDGED = 200, 30  # records attacked with; a judge costs money or time per answer
TRIES, TRIES_JUDGED = 20, 3  # answers per cheat


def run_attack_job(ctx: JobContext) -> AttackSummary:
    """What a judge has said is kept, so a job that starts over pays nothing twice."""
    run = RFTJob.objects.select_related("snapshot", "workspace", "dataset").get(pk=ctx.params["run"])
    if run.snapshot is None or run.grader_config is None:
        raise JobFailed("The run has no split or grader any more; go back and choose them.", "incomplete")
    refuse_unasked(about_judge(run))
    mark, judged = mark_of(run), asks_a_judge(run.grader_config)
    cases = _cases(run, CASES_JUDGED if judged else CASES)
    judge = judge_connection(run)
    if judge is not None and not is_own_engine(judge):  # nobody was asked about what was logged of the answers
        cases = [replace(case, answer="", tools=[]) for case in cases]

    def at(done: int, total: int) -> None:
        ctx.progress.begin("Trying cheats", done=done, total=total)
        ctx.check()

    try:
        with open_for(run.workspace, run.grader_config, account=judging_account(run)) as grader:
            found = run_attack(grader, cases, per_cheat=TRIES_JUDGED if judged else TRIES, batch=50, at=at)
    except (GraderError, JailUnavailable) as error:
        raise JobFailed(str(error), "grader") from None
    summary = _summary(found, cases)
    with ctx.batch():
        Attack.objects.filter(run=run).update(mark=mark, summary=summary.model_dump(mode="json"))
    return summary


def _cases(run: RFTJob, most: int) -> list[Case]:
    """Training records in an order that hangs on what they say, so that the same split is attacked the same way."""
    items = sorted(run.frozen.items.filter(part="train"), key=lambda item: digest_ids([item.fingerprint]))
    return [_case(item) for item in items[:most]]


def _case(item: SnapshotItem) -> Case:
    trace = item.trace
    last = trace.output_messages[-1] if trace.output_messages else {}
    calls = trace.output.get("tool_calls") or last.get("tool_calls") or []
    return Case(item_of(trace), text_of(last.get("content")), [call for call in calls if isinstance(call, dict)])


def _summary(found: AttackReport, cases: list[Case]) -> AttackSummary:
    return AttackSummary(
        sentence=found.sentence,
        honest=found.honest,
        honest_count=found.honest_count,
        length=found.length,
        format=found.format,
        errors=found.errors,
        cheats=[_cheat(result, cases) for result in found.results],
    )


def _cheat(result: CheatResult, cases: list[Case]) -> FooledBy:
    attempt = result.best.attempt
    calls = ", ".join(str((call.get("function") or {}).get("name") or "?") for call in attempt.tools)
    return FooledBy(
        slug=result.cheat.slug,
        title=result.cheat.title,
        trick=result.cheat.trick,
        tried=result.tried,
        mean=result.mean,
        fooled=result.fooled,
        components=result.components,
        fooled_components=result.fooled_components,
        prompt=cases[result.best.case].question[:2000],
        answer=(attempt.text[:2000] or (f"calls {calls}" if calls else "")),
        reward=result.best_reward,
    )

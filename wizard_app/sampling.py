"""Asking a model and scoring its answers, without ever asking twice for an answer that is there.

An answer is identified by what was asked (``Plan.key``), the prompt and its number. A grader that changed scores the
answers that are there anew; only what is missing is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from django.db.models import Count, QuerySet

from datasets_app.core.records import clean_json, clean_text
from datasets_app.core.rows import item_of
from datasets_app.models import SnapshotItem
from graders_app.core.evaluate import Grader, GraderResult, make_sample
from graders_app.judging import asks_a_judge, open_for
from rft_project.connections.services import platform_for
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import Again, Cancelled, JobFailed, WaitUntil
from rft_project.money import expenses
from rft_project.money.expenses import Account
from rft_project.money.models import Purpose
from rft_project.platforms.errors import NotYet, PlatformError
from rft_project.platforms.pool import run_pool
from rft_project.platforms.types import JsonDict, Sample, SampleRequest
from wizard_app.core.digests import digest

from .models import RFTJob, Rollout
from .paying import account_of

RESCORED = 200  # answers graded in one go
WORTH_PARKING = 3.0  # seconds; shorter waits are waited for
JUDGED = 64  # prompts whose answers a judge scores together, and answers it scores in one go
SCORED = ["reward", "sub_rewards", "grader_errors", "notes", "judge_tokens", "grader_digest"]


@dataclass(frozen=True)
class Plan:
    """What is asked of every prompt."""

    connection_pk: str
    model: str
    answers: int
    temperature: float
    max_tokens: int
    seed: int = 0
    allowed: list[str] = field(default_factory=list)
    effort: str = ""
    form: JsonDict | None = None

    @property
    def key(self) -> str:
        """Digest of everything that shapes an answer; how many are asked for does not."""
        shape = [self.connection_pk, self.model, self.temperature, self.max_tokens, self.seed, self.allowed]
        return digest([*shape, self.effort, self.form] if self.effort or self.form else shape)


@dataclass(frozen=True)
class Scoring:
    """By what answers are scored. ``late``: questions to its judge that had to wait and are still to be asked."""

    config: JsonDict
    grader: Grader
    late: list[NotYet]

    @property
    def judged(self) -> bool:
        return asks_a_judge(self.config)

    @property
    def together(self) -> int:
        """Answers scored in one go; fewer where that takes long, as nothing is kept of a go that a worker dies in."""
        return JUDGED if self.judged else RESCORED


def grader_digest(config: JsonDict) -> str:
    return digest(config)


def collect(
    ctx: JobContext, run: RFTJob, items: list[SnapshotItem], plan: Plan, config: JsonDict, purpose: Purpose
) -> None:
    """See that every item has ``plan.answers`` answers scored by ``config``. Raises Again when the slice is over.

    A call that failed for good is kept as an answer with ``error`` set, so that it is counted and shown. Raises
    JobFailed where a cap leaves no money for the next call, and WaitUntil where the platform's rate limit leaves no
    room for a while; what was answered until then is kept.
    """
    account, late = account_of(run, run.platform_connection, plan.model, purpose), list[NotYet]()

    def halted() -> bool:
        return ctx.stopping or ctx.slice_over

    with open_for(run.workspace, config, account=account, should_stop=halted, later=late.append) as grader:
        scoring = Scoring(config, grader, late)
        _rescore(ctx, run, items, plan, scoring)
        _ask(ctx, run, items, plan, scoring, account)


def _mine(run: RFTJob, items: Iterable[SnapshotItem], plan: Plan):
    return Rollout.objects.filter(run=run, sampling_key=plan.key, item__in=[item.pk for item in items])


def _rescore(ctx: JobContext, run: RFTJob, items: list[SnapshotItem], plan: Plan, scoring: Scoring) -> None:
    """Score anew what another grader scored, and what a judge did not answer; each once in a job, whatever comes of it,
    but for questions that had to wait."""
    mark = grader_digest(scoring.config)
    place = f"tried {plan.key} {mark}"
    tried = int(ctx.cursor.get(place, 0))
    scored_otherwise = _mine(run, items, plan).filter(error="", pk__gt=tried).exclude(grader_digest=mark)
    for last in _scored(ctx, scored_otherwise, items, scoring):
        ctx.check()
        if scoring.late:
            raise _later(scoring.late, ctx)
        with ctx.batch() as batch:
            batch.cursor = {**ctx.cursor, place: last}
        if ctx.slice_over:
            raise Again


def _scored(ctx: JobContext, rollouts: QuerySet[Rollout], items: list[SnapshotItem], scoring: Scoring) -> Iterator[int]:
    """Scores ``rollouts``, which are answers to ``items``; stops after each part that is kept, with its last key."""
    mark, known = grader_digest(scoring.config), {item.pk: item_of(item.trace) for item in items}
    stale_pks = list(rollouts.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(stale_pks), scoring.together):
        stale = list(Rollout.objects.filter(pk__in=stale_pks[start : start + scoring.together]).order_by("pk"))
        results = scoring.grader.grade_many([(make_sample(r.answer, r.tool_calls), known[r.item_id]) for r in stale])
        for rollout, result in zip(stale, results, strict=True):
            _score(rollout, result, mark, late=bool(scoring.late))
        with ctx.batch():
            Rollout.objects.bulk_update(stale, SCORED)
        yield stale[-1].pk


def _ask(
    ctx: JobContext,
    run: RFTJob,
    items: list[SnapshotItem],
    plan: Plan,
    scoring: Scoring,
    account: Account,
) -> None:
    have = dict(_mine(run, items, plan).values_list("item").annotate(n=Count("pk")).order_by())
    todo = [item for item in items if have.get(item.pk, 0) < plan.answers]
    done = sum(min(have.get(item.pk, 0), plan.answers) for item in items)
    ctx.progress.begin("Asking the model", done=done, total=len(items) * plan.answers)
    if not todo:
        return
    platform, judged = platform_for(run.platform_connection), scoring.judged
    requests = {item.pk: _request(item, plan, have.get(item.pk, 0)) for item in todo}
    keys = {item.pk: f"sample:{run.pk}:{plan.key}:{item.pk}:{have.get(item.pk, 0)}" for item in todo}
    halted: list[PlatformError | Cancelled | JobFailed | WaitUntil] = []
    unscored: list[SnapshotItem] = []

    def allowed() -> Iterator[SnapshotItem]:
        """Prompts for which there is money."""
        for item in todo:
            try:
                expenses.hold(account, keys[item.pk], *expenses.most_tokens(requests[item.pk]))
            except expenses.CapReached as reached:
                halted.append(JobFailed(str(reached), "cap"))
                return
            yield item

    def should_stop() -> bool:
        if not halted and ctx.stopping:
            halted.append(Cancelled())
        return bool(halted or scoring.late) or ctx.slice_over

    # Whatever ends the asking, answers on their way are waited for and kept: they are paid for.
    for item, answer in run_pool(allowed(), lambda item: platform.sample(requests[item.pk]), should_stop=should_stop):
        if isinstance(answer, PlatformError):
            expenses.free(account, keys[item.pk])
        if isinstance(answer, NotYet):
            halted.append(WaitUntil(answer.retry_after or 0.0, str(answer)))
            continue
        if isinstance(answer, PlatformError) and not _about_this_prompt(answer):
            halted.append(answer)  # the platform is down or refuses everything: the job waits or ends, with its words
            continue
        rollouts = _rollouts(run, item, plan, answer, have.get(item.pk, 0))
        if not judged:
            _score_new(rollouts, item, scoring)
        _keep(ctx, rollouts, answer, account, keys[item.pk])
        if judged:  # an answer is kept before anybody waits for a judge, and many are judged at once
            unscored.append(item)
        if len(unscored) >= JUDGED and not (halted or scoring.late or ctx.slice_over):
            _judge(ctx, run, unscored, plan, scoring)
            unscored = []
    if halted:
        raise _ending(halted, ctx)
    _judge_rest(ctx, run, unscored, plan, scoring)


def _judge_rest(ctx: JobContext, run: RFTJob, unscored: list[SnapshotItem], plan: Plan, scoring: Scoring) -> None:
    """Raises Again where the slice is over, WaitUntil where the judge has no room: what is unscored waits for that."""
    if not scoring.late:
        if ctx.slice_over:
            raise Again
        _judge(ctx, run, unscored, plan, scoring)
    if scoring.late:
        raise _later(scoring.late, ctx)


def _keep(ctx: JobContext, rollouts: list[Rollout], answer: Sample | PlatformError, account: Account, key: str) -> None:
    with ctx.batch(done=len(rollouts)):
        Rollout.objects.bulk_create(rollouts, ignore_conflicts=True)
        if isinstance(answer, Sample):
            expenses.settle(account, key, answer.usage.prompt_tokens, answer.usage.completion_tokens)


def _ending(halted: Sequence[PlatformError | Cancelled | JobFailed | WaitUntil], ctx: JobContext) -> Exception:
    """The first thing that ended the asking, else the longest wait. Where only the slice was over, calls that had not
    left yet go on waiting for their turn in the next one."""
    waits = [stop for stop in halted if isinstance(stop, WaitUntil)]
    if len(waits) < len(halted):
        return next(stop for stop in halted if not isinstance(stop, WaitUntil))
    longest = max(waits, key=lambda stop: stop.seconds)
    return Again() if ctx.slice_over and longest.seconds < WORTH_PARKING else longest


def _later(late: list[NotYet], ctx: JobContext) -> Exception:
    """How a slice ends in which a judge could not be asked everything."""
    return _ending([WaitUntil(wait.retry_after or 0.0, str(wait)) for wait in late], ctx)


def _judge(ctx: JobContext, run: RFTJob, items: list[SnapshotItem], plan: Plan, scoring: Scoring) -> None:
    """Score the answers to ``items`` that were kept without a score. What the judge can't be asked now is left to the
    next slice; nothing is raised, as other answers are coming."""
    for _ in _scored(ctx, _mine(run, items, plan).filter(error="", grader_digest=""), items, scoring):
        if scoring.late:
            return


def _request(item: SnapshotItem, plan: Plan, have: int) -> SampleRequest:
    trace = item.trace
    return SampleRequest(
        model=plan.model,
        messages=trace.messages,
        tools=trace.tools,
        n=plan.answers - have,
        temperature=plan.temperature,
        max_tokens=plan.max_tokens,
        # A seed of its own for every prompt and every later top-up, or they would all draw the same numbers.
        seed=(plan.seed * 1_000_003 + int(item.fingerprint, 16) + have) % 2**31,
        allowed_answers=plan.allowed,
        reasoning_effort=plan.effort,
        response_format=plan.form,
    )


def _rollouts(run: RFTJob, item: SnapshotItem, plan: Plan, sample: Sample | PlatformError, have: int) -> list[Rollout]:
    """An answer's rows, not scored yet."""
    if isinstance(sample, PlatformError):
        failed = {"answer": "", "error": clean_text(str(sample))[:500]}
        return [
            Rollout(run=run, item=item, sampling_key=plan.key, sample_index=have + i, **failed)
            for i in range(plan.answers - have)
        ]
    return [
        Rollout(
            run=run,
            item=item,
            sampling_key=plan.key,
            sample_index=have + index,
            answer=clean_text(answer.text),
            tool_calls=clean_json(answer.tool_calls),
            prompt_tokens=sample.usage.prompt_tokens if index == 0 else 0,
            completion_tokens=sample.usage.completion_tokens if index == 0 else 0,
            seconds=sample.seconds if index == 0 else 0.0,
        )
        for index, answer in enumerate(sample.answers)
    ]


def _score_new(rollouts: list[Rollout], item: SnapshotItem, scoring: Scoring) -> None:
    answered = [rollout for rollout in rollouts if not rollout.error]
    mark, known = grader_digest(scoring.config), item_of(item.trace)
    results = scoring.grader.grade_many([(make_sample(r.answer, r.tool_calls), known) for r in answered])
    for rollout, result in zip(answered, results, strict=True):
        _score(rollout, result, mark)


def _about_this_prompt(error: PlatformError) -> bool:
    """400 and 422 refuse one request (too long, filtered); anything else concerns them all."""
    return error.status in (400, 413, 422)


def _score(rollout: Rollout, result: GraderResult, mark: str, *, late: bool = False) -> None:
    """``late``: a question that was not answered may be one that had to wait, so the score is not the last word."""
    rollout.reward = result.reward
    rollout.sub_rewards = result.sub_rewards
    rollout.grader_errors = [
        {"kind": e.kind, "message": clean_text(e.message), "component": e.component} for e in result.errors
    ]
    rollout.notes = {name: clean_text(words) for name, words in result.notes.items()}
    rollout.judge_tokens = sum(usage.prompt_tokens + usage.completion_tokens for usage in result.usage.values())
    unanswered = any(e.kind == "model_grader_server_error" for e in result.errors)
    silent = unanswered and (late or result.reward is None)
    rollout.grader_digest = "" if silent else mark  # a judge that did not answer is asked again the next time

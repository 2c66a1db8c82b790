"""Asking a model and scoring its answers, without ever asking twice for an answer that is there.

An answer is identified by what was asked (``Plan.key``), the prompt and its number. A grader that changed scores the
answers that are there anew; only what is missing is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
JUDGED = 64  # prompts whose answers a judge scores together
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
    account = account_of(run, run.platform_connection, plan.model, purpose)
    with open_for(run.workspace, config, account=account, should_stop=lambda: ctx.stopping) as grader:
        _rescore(ctx, run, items, plan, config, grader)
        _ask(ctx, run, items, plan, config, grader, account)


def _mine(run: RFTJob, items: Iterable[SnapshotItem], plan: Plan):
    return Rollout.objects.filter(run=run, sampling_key=plan.key, item__in=[item.pk for item in items])


def _rescore(
    ctx: JobContext, run: RFTJob, items: list[SnapshotItem], plan: Plan, config: JsonDict, grader: Grader
) -> None:
    """Score anew what another grader scored, and what a judge did not answer; each once, whatever comes of it."""
    scored_otherwise = _mine(run, items, plan).filter(error="").exclude(grader_digest=grader_digest(config))
    for _ in _scored(ctx, scored_otherwise, items, config, grader):
        ctx.check()


def _scored(
    ctx: JobContext, rollouts: QuerySet[Rollout], items: list[SnapshotItem], config: JsonDict, grader: Grader
) -> Iterator[None]:
    """Scores ``rollouts``, which are answers to ``items``; stops after each part that is kept."""
    mark, known = grader_digest(config), {item.pk: item_of(item.trace) for item in items}
    stale_pks = list(rollouts.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(stale_pks), RESCORED):
        stale = list(Rollout.objects.filter(pk__in=stale_pks[start : start + RESCORED]).order_by("pk"))
        results = grader.grade_many([(make_sample(r.answer, r.tool_calls), known[r.item_id]) for r in stale])
        for rollout, result in zip(stale, results, strict=True):
            _score(rollout, result, mark)
        with ctx.batch():
            Rollout.objects.bulk_update(stale, SCORED)
        yield


def _ask(
    ctx: JobContext,
    run: RFTJob,
    items: list[SnapshotItem],
    plan: Plan,
    config: JsonDict,
    grader: Grader,
    account: Account,
) -> None:
    have = dict(_mine(run, items, plan).values_list("item").annotate(n=Count("pk")).order_by())
    todo = [item for item in items if have.get(item.pk, 0) < plan.answers]
    done = sum(min(have.get(item.pk, 0), plan.answers) for item in items)
    ctx.progress.begin("Asking the model", done=done, total=len(items) * plan.answers)
    if not todo:
        return
    platform, judged = platform_for(run.platform_connection), asks_a_judge(config)
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
        return bool(halted) or ctx.slice_over

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
            _score_new(rollouts, item, config, grader)
        _keep(ctx, rollouts, answer, account, keys[item.pk])
        if judged:  # an answer is kept before anybody waits for a judge, and many are judged at once
            unscored.append(item)
        if len(unscored) == JUDGED and not halted:
            _judge(ctx, run, unscored, plan, config, grader)
            unscored = []
    if halted:
        raise _ending(halted, ctx)
    if ctx.slice_over:
        raise Again
    _judge(ctx, run, unscored, plan, config, grader)


def _keep(ctx: JobContext, rollouts: list[Rollout], answer: Sample | PlatformError, account: Account, key: str) -> None:
    with ctx.batch(done=len(rollouts)):
        Rollout.objects.bulk_create(rollouts, ignore_conflicts=True)
        if isinstance(answer, Sample):
            expenses.settle(account, key, answer.usage.prompt_tokens, answer.usage.completion_tokens)


def _ending(halted: list[PlatformError | Cancelled | JobFailed | WaitUntil], ctx: JobContext) -> Exception:
    """The first thing that ended the asking, else the longest wait. Where only the slice was over, calls that had not
    left yet go on waiting for their turn in the next one."""
    waits = [stop for stop in halted if isinstance(stop, WaitUntil)]
    if len(waits) < len(halted):
        return next(stop for stop in halted if not isinstance(stop, WaitUntil))
    longest = max(waits, key=lambda stop: stop.seconds)
    return Again() if ctx.slice_over and longest.seconds < WORTH_PARKING else longest


def _judge(
    ctx: JobContext, run: RFTJob, items: list[SnapshotItem], plan: Plan, config: JsonDict, grader: Grader
) -> None:
    """Score the answers to ``items`` that were kept without a score. Never stops halfway: other answers are coming."""
    for _ in _scored(ctx, _mine(run, items, plan).filter(error="", grader_digest=""), items, config, grader):
        pass


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


def _score_new(rollouts: list[Rollout], item: SnapshotItem, config: JsonDict, grader: Grader) -> None:
    answered = [rollout for rollout in rollouts if not rollout.error]
    mark, known = grader_digest(config), item_of(item.trace)
    results = grader.grade_many([(make_sample(r.answer, r.tool_calls), known) for r in answered])
    for rollout, result in zip(answered, results, strict=True):
        _score(rollout, result, mark)


def _about_this_prompt(error: PlatformError) -> bool:
    """400 and 422 refuse one request (too long, filtered); anything else concerns them all."""
    return error.status in (400, 413, 422)


def _score(rollout: Rollout, result: GraderResult, mark: str) -> None:
    rollout.reward = result.reward
    rollout.sub_rewards = result.sub_rewards
    rollout.grader_errors = [
        {"kind": e.kind, "message": clean_text(e.message), "component": e.component} for e in result.errors
    ]
    rollout.notes = {name: clean_text(words) for name, words in result.notes.items()}
    rollout.judge_tokens = sum(usage.prompt_tokens + usage.completion_tokens for usage in result.usage.values())
    silent = result.reward is None and any(e.kind == "model_grader_server_error" for e in result.errors)
    rollout.grader_digest = "" if silent else mark  # a judge that did not answer is asked again the next time

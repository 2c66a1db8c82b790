"""Generating records: many calls at once, each written down before it is made and never made again.

A call goes planned -> sent -> answered -> stored. "sent" is committed before the request leaves, the answer as soon as
it is there, its records and counts in one transaction under keys that name run, call and place. So a worker that is
killed loses at most the answers that were on their way: those calls are marked lost, counted as paid, and what they
were to bring is asked for by others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Max
from django.utils import timezone

from datasets_app import actions, moments
from datasets_app.consent import refuse_unasked
from datasets_app.core.generating import IN_FLIGHT, ROUND, Ask, Strategy, Tally, as_counts, next_asks, valid_of
from datasets_app.core.generating_prompts import Material
from datasets_app.core.records import clean_text
from datasets_app.counters import take_turn
from datasets_app.generation import account_of, possible_for, question_about, spent
from datasets_app.generation_batches import Desk, rejected_entry
from datasets_app.helper_writing import Writer
from datasets_app.models import GenerationCall, GenerationRun
from datasets_app.models.generating import tallies_of
from rft_project.connections.services import platform_for
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import Again, Cancelled, JobFailed, WaitUntil
from rft_project.money import expenses
from rft_project.platforms.errors import NotYet, PlatformError
from rft_project.platforms.pool import run_pool
from rft_project.platforms.types import Sample
from rft_project.web.text import percent

ATTEMPTS = 3  # tries of one call
State = GenerationCall.State


def run_generate(ctx: JobContext) -> dict[str, Any]:
    """Bring what the plan still lacks. Raises PlatformError where the platform answers nobody any more."""
    found = GenerationRun.objects.select_related("dataset__workspace", "connection")
    run = found.filter(job=ctx.job.pk).first()
    if run is None:
        raise JobFailed("This run was deleted meanwhile.", "deleted")
    if run.connection is None:
        raise JobFailed("The connection of the helper model was deleted; connect one and plan again.", "no_helper")
    question = question_about(run.dataset, run.planned, run.connection)
    # The run's own records are looked through when it ends. They are not shown; nor is what came after its start.
    if question is not None and not (question.unseen and run.calls.exists()):
        refuse_unasked(question)
    ctx.progress.begin("Reading the records", done=_valid(run), total=run.planned.total)
    work = _Work(ctx, run)
    try:
        ended = work.go()
    except (Cancelled, JobFailed, PlatformError) as stop:
        if not (isinstance(stop, PlatformError) and stop.retryable and ctx.job.attempts < ctx.job.max_attempts):
            work.close("")  # nobody tries again by himself
        raise
    work.close(ended)
    return report_of(run)


def _key(call: GenerationCall) -> str:
    return f"generate:{call.run_id}:{call.number}"


class _Work:
    """One slice of a run."""

    def __init__(self, ctx: JobContext, run: GenerationRun) -> None:
        assert run.connection is not None
        self._ctx, self._run, self._plan = ctx, run, run.planned
        self._desk, self._made = Desk(run), 0
        self._writer = Writer(platform_for(run.connection), run.model)
        self._account = account_of(run)
        there = possible_for(self._plan, {t.topic: self._desk.has(t.topic) for t in self._plan.topics})
        self._possible = {topic: how if self._desk.is_leaf(topic) else [] for topic, how in there.items()}

    def go(self) -> str:
        """Why it ended: complete, calls, cost or hopeless. Raises Again, Cancelled, Lost, PlatformError."""
        self._settle()
        self._ctx.progress.begin("Asking the helper model", done=_valid(self._run), total=self._plan.total)
        while True:
            if ended := self._reached():
                return ended
            calls = self._round()
            if not calls:
                return "hopeless"
            self._make(calls)
            self._ctx.check()
            if self._ctx.slice_over:
                raise Again

    def close(self, ended: str) -> None:
        """Measure what is there, and have the whole dataset checked; ``ended`` '' where the run may go on."""
        quality, after = self._desk.measured()
        run = self._run
        run.quality, run.after, run.ended = quality.model_dump(mode="json"), after, ended
        run.finished_at = timezone.now()
        with self._ctx.batch():
            run.save(update_fields=["quality", "after", "ended", "finished_at"])
            if quality.records:
                actions.start(run.dataset, actions.SANITIZE, {}, by=self._ctx.job.requested_by)
        moments.note(run.dataset_id, "Records generated")

    # What an earlier slice or a killed worker left

    def _settle(self) -> None:
        calls = self._run.calls
        lost = calls.filter(state=State.SENT)
        if count := lost.count():
            self._ctx.log(f"{count:,} answers were on their way when the worker stopped; they may have been paid for.")
            with self._ctx.batch():
                lost.update(state=State.LOST)
        for call in calls.filter(state=State.ANSWERED):
            self._store(call)

    # One round

    def _reached(self) -> str:
        tallies = tallies_of(self._run.calls.all())
        if all(valid_of(tallies, topic.topic) >= topic.number for topic in self._plan.topics):
            return "complete"
        if not self._calls_left():
            return "calls"
        cost = spent(self._run)["usd"]
        return "cost" if self._plan.max_usd is not None and cost is not None and cost >= self._plan.max_usd else ""

    def _calls_left(self) -> int:
        made = self._run.calls.filter(number__gt=self._run.since, state__in=GenerationCall.SPENT).count()
        return max(0, self._plan.max_calls - made)

    def _round(self) -> list[GenerationCall]:
        """The calls to make next, written down: those that were planned and not made, else new ones.

        The first round is short, so that a model that cannot do it is found out soon.
        """
        planned = list(self._run.calls.filter(state=State.PLANNED))
        if planned:
            return planned
        tallies = _of_this_start(self._run)
        first = not self._run.calls.filter(number__gt=self._run.since).exists()
        most = min(IN_FLIGHT if first else ROUND, self._calls_left())
        asks = next_asks(self._plan, tallies, self._possible, most)
        last = self._run.calls.aggregate(last=Max("number"))["last"] or 0
        calls = [self._planned(ask, last + at) for at, ask in enumerate(asks, 1)]
        with self._ctx.batch():
            GenerationCall.objects.bulk_create(calls)
        return calls

    def _planned(self, ask: Ask, number: int) -> GenerationCall:
        shown, frame = self._desk.seeds.choose(ask, number - 1)
        return GenerationCall(
            run=self._run,
            number=number,
            topic=ask.topic.topic,
            strategy=ask.strategy,
            wanted=ask.number,
            examples=shown,
            frame=frame,
        )

    def _make(self, calls: list[GenerationCall]) -> None:
        halted: list[PlatformError | Cancelled | JobFailed | WaitUntil] = []

        def should_stop() -> bool:
            if not halted:
                try:
                    self._ctx.check()
                except Cancelled as stop:
                    halted.append(stop)
            return bool(halted) or (self._ctx.slice_over and self._made > 0)

        def ask(call: GenerationCall) -> Sample:
            material = materials[call.number]
            return self._writer.ask(Strategy(call.strategy), call.wanted, material)

        # Whatever ends the asking, answers on their way are waited for and kept: they are paid for.
        materials = {call.number: self._desk.material(call) for call in calls}
        pool = run_pool(
            self._sent(calls, materials, halted), ask, in_flight=IN_FLIGHT, should_stop=should_stop, attempts=ATTEMPTS
        )
        for call, answer in pool:
            if isinstance(answer, NotYet):
                self._put_back(call)
                halted.append(WaitUntil(answer.retry_after or 0.0, str(answer)))
            elif isinstance(answer, PlatformError):
                if not self._refused(call, answer):
                    halted.append(answer)
            else:
                self._answered(call, answer)
                self._store(call)
        if halted:
            raise halted[0]

    def _sent(
        self,
        calls: list[GenerationCall],
        materials: dict[int, Material],
        halted: list[PlatformError | Cancelled | JobFailed | WaitUntil],
    ) -> Iterator[GenerationCall]:
        """Each call in its turn, committed as sent before it leaves; none for which a cap leaves no money."""
        for call in calls:
            most = self._writer.most(Strategy(call.strategy), call.wanted, materials[call.number])
            try:
                expenses.hold(self._account, _key(call), *most)
            except expenses.CapReached as reached:
                halted.append(JobFailed(str(reached), "cap"))
                return
            self._made += 1  # each slice makes some, however long reading the records took
            call.state, call.sent_at = State.SENT, timezone.now()
            with self._ctx.batch():
                call.save(update_fields=["state", "sent_at"])
            yield call

    def _put_back(self, call: GenerationCall) -> None:
        """It never left: the rate limit had no room."""
        call.state, call.sent_at = State.PLANNED, None
        with self._ctx.batch():
            expenses.free(self._account, _key(call))
            call.save(update_fields=["state", "sent_at"])

    def _refused(self, call: GenerationCall, error: PlatformError) -> bool:
        """True where the platform refused this one call (too long, filtered); else it answers nobody."""
        only_this = error.status in (400, 413, 422)
        call.state = State.FAILED if only_this else State.REFUSED
        call.error = clean_text(str(error))[:500]
        call.rejected = [rejected_entry("call_failed", call.error, n=call.wanted)] if only_this else []
        with self._ctx.batch():
            expenses.free(self._account, _key(call))
            call.save(update_fields=["state", "error", "rejected"])
        return only_this

    def _answered(self, call: GenerationCall, sample: Sample) -> None:
        call.state, call.answer = State.ANSWERED, self._writer.text_of(sample)
        call.prompt_tokens, call.completion_tokens = sample.usage.prompt_tokens, sample.usage.completion_tokens
        call.seconds = sample.seconds
        with self._ctx.batch():
            expenses.settle(self._account, _key(call), call.prompt_tokens, call.completion_tokens)
            call.save(update_fields=["state", "answer", "prompt_tokens", "completion_tokens", "seconds"])

    def _store(self, call: GenerationCall) -> None:
        """The records of an answer, with what did not pass, at once or not at all."""
        wanted = sum(topic.number for topic in self._plan.topics if topic.topic == call.topic)
        room = max(0, wanted - valid_of(tallies_of(self._run.calls.all()), call.topic))
        found = self._desk.judged(call, room)
        call.state, call.answer = State.STORED, ""
        call.generated, call.valid, call.rejected = found.generated, len(found.rows), found.rejected
        with self._ctx.batch(done=len(found.rows), note=self._note(call)):
            take_turn(self._run.dataset_id)
            self._desk.insert(found)
            call.save(update_fields=["state", "answer", "generated", "valid", "rejected"])

    def _note(self, call: GenerationCall) -> str:
        tally = Tally()
        for one in tallies_of(self._run.calls.all()).values():
            tally.requested += one.requested
            tally.valid += one.valid
        share = (tally.valid + call.valid) / (tally.requested + call.wanted)
        return f"{percent(share, 0)} of what was asked for passed the checks."


def _valid(run: GenerationRun) -> int:
    return sum(tally.valid for tally in tallies_of(run.calls.all()).values())


def _of_this_start(run: GenerationRun) -> dict[tuple[str, str], Tally]:
    """Tallies whose valid records are those of the whole run, and whose requests are those since it was last started:
    a strategy that was given up then has its chance again."""
    whole, recent = tallies_of(run.calls.all()), tallies_of(run.calls.filter(number__gt=run.since))
    for key, tally in whole.items():
        now = recent.get(key, Tally())
        before = tally.valid - now.valid
        whole[key] = Tally(now.requested + before, tally.generated, tally.valid, now.calls)
    return whole


def report_of(run: GenerationRun) -> dict[str, Any]:
    """What a run did, for the command and the job's result."""
    tallies = tallies_of(run.calls.all())
    reasons: dict[str, int] = {}
    for found in run.calls.values_list("rejected", flat=True):
        for one in found:
            reasons[one["code"]] = reasons.get(one["code"], 0) + one["n"]
    return {
        "run": run.pk,
        "model": run.model,
        "ended": run.ended,
        "topics": as_counts(tallies),
        "strategies": as_counts({(strategy, topic): tally for (topic, strategy), tally in tallies.items()}),
        "valid": sum(tally.valid for tally in tallies.values()),
        "requested": run.planned.total,
        "reasons": dict(sorted(reasons.items(), key=lambda pair: -pair[1])),
        **run.measured.model_dump(exclude={"records"}),
        **{name: value for name, value in spent(run).items() if name != "seconds"},
        "before": run.before,
        "after": run.after,
    }

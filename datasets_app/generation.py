"""Planning, starting and going on with the generation of records; pages and the command call the same functions."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Avg, Max, QuerySet, Sum
from pydantic import ValidationError

from datasets_app.core.generating import (
    STRATEGIES,
    Plan,
    Strategy,
    TopicPlan,
    strategies_of,
    suggested,
    synthetic_share,
    valid_of,
    why_not,
)
from datasets_app.core.readiness import DatasetFacts
from datasets_app.core.topics import readable
from rft_project.connections.models import AuditEntry, Connection
from rft_project.jobs.models import Job, State, live_job
from rft_project.jobs.services import HasPk, enqueue, retry
from rft_project.money.expenses import Account
from rft_project.money.models import Purpose
from rft_project.money.prices import enter, priced
from rft_project.spreadsheets import guarded
from rft_project.web.text import percent, plural

from .actions import GENERATE
from .consent import Question, about_helper, helper_connection
from .facts import coverage_report, dataset_facts, topic_counts
from .models import GENERATED, VALID, ActionRun, Dataset, DatasetRecord, GenerationCall, GenerationRun
from .models.generating import tallies_of
from .services import Refused

CALLS_FOR = 4  # calls allowed by a suggested plan, in calls that a perfect model would need
BUSY = "A generation is at work on this dataset; wait for it, or stop it first."


def lock_key(dataset: Dataset) -> str:
    return f"dataset:{dataset.pk}:{GENERATE}"


def question_about(dataset: Dataset, plan: Plan, connection: Connection | None = None) -> Question | None:
    """What a person has to decide about before the plan's examples may be sent over ``connection``, or that of today's
    helper; None where no record is sent."""
    described = all(topic.strategy == Strategy.DESCRIPTION for topic in plan.topics)
    return None if described else about_helper(dataset, connection)


# --- plans ------------------------------------------------------------------------------------------------------------


def suggestion(dataset: Dataset, facts: DatasetFacts | None = None) -> Plan:
    """What would bring every topic that is under its target to its share; prices as they were entered last."""
    facts = facts or dataset_facts(dataset)
    needs = suggested(coverage_report(dataset, facts), valid=facts.valid, generated=facts.generated)
    last = dataset.generation_runs.first()
    prices = last.planned.model_dump(include={"price_in", "price_out", "max_usd"}) if last is not None else {}
    prices = prices or known_prices(dataset)
    calls = sum(-(-need // 10) for need in needs.values())
    topics = [TopicPlan(topic=topic, number=need) for topic, need in needs.items()]
    return Plan(topics=topics, max_calls=max(20, CALLS_FOR * calls), **prices)


def known_prices(dataset: Dataset) -> dict[str, float]:
    """Of today's helper model, as fields of a plan; empty where not both are known."""
    helper = helper_connection(dataset)
    price = priced(helper, helper.helper_model) if helper is not None else None
    if price is None or price.input is None or price.output is None:
        return {}
    return {"price_in": price.input, "price_out": price.output}


def account_of(run: GenerationRun) -> Account:
    """On which its calls are counted."""
    assert run.connection is not None
    dataset = run.dataset
    about = f"dataset:{dataset.pk}"
    return Account(dataset.workspace, about, dataset.name, run.connection, run.model, Purpose.GENERATION)


def read_plan(given: Mapping[str, Any]) -> Plan:
    """A plan from JSON. Raises Refused with what is wrong with it."""
    try:
        return Plan.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(f"The plan cannot be used: {where}: {first['msg']}.", where) from None


def checked(dataset: Dataset, plan: Plan, facts: DatasetFacts | None = None) -> Plan:
    """``plan`` without the topics that want nothing. Raises Refused for what cannot be done."""
    facts = facts or dataset_facts(dataset)
    wanted = [topic for topic in plan.topics if topic.number]
    if not wanted:
        raise Refused("Every topic has 0 records to generate; enter a number for at least one.")
    there = topics_with_traces(dataset)
    for topic in wanted:
        if topic.topic not in facts.topics:
            raise Refused(f"There is no topic called {topic.topic[:64]} any more; open the plan again.")
        if topic.strategy not in STRATEGIES:
            raise Refused(f"There is no strategy called {topic.strategy[:30]}; known are {', '.join(STRATEGIES)}.")
        has = topic.topic in there
        if sentence := why_not(topic.strategy, seeds=has, tools=has):  # tools are seen when the records are read
            raise Refused(f"{readable(topic.topic)}: {STRATEGIES[topic.strategy][0]} {sentence}.")
    if len({topic.topic for topic in wanted}) < len(wanted):
        raise Refused("A topic stands twice in the plan.")
    plan = plan.model_copy(update={"topics": wanted})
    share = synthetic_share(facts.valid, facts.generated, plan.total)
    if share > plan.max_synthetic_ratio + 1e-9:
        raise Refused(
            f"{plural(plan.total, 'record')} more would make {percent(share)} of the valid records generated; "
            f"the plan allows {percent(plan.max_synthetic_ratio)}. Lower the numbers, or raise what is allowed."
        )
    if plan.max_usd is not None and not plan.priced:
        raise Refused("A limit in USD needs both prices: enter them, or leave the limit empty.", "max_usd")
    return plan


def topics_with_traces(dataset: Dataset) -> set[str]:
    """Topics that have a record to start from, from the counters."""
    counted = dataset.record_counts.filter(verdict=VALID).exclude(source=GENERATED).exclude(topic="")
    return set(counted.order_by().values_list("topic", flat=True))


def usual_tokens(dataset: Dataset) -> float:
    """Mean tokens of a message, from what lists show of the records: about four characters each."""
    newest = dataset.records.filter(verdict=VALID).order_by("-pk").values_list("preview", flat=True)[:500]
    lengths = [len(text) / 4 for text in newest]
    return sum(lengths) / len(lengths) if lengths else 40.0


# --- runs -------------------------------------------------------------------------------------------------------------


def begin(dataset: Dataset, plan: Plan, *, by: HasPk | None) -> GenerationRun:
    """Queue a run; pressing twice with one plan finds the run that is at work. Raises Refused."""
    plan = checked(dataset, plan)
    connection = helper_connection(dataset)
    if connection is None:
        raise Refused("No helper model is connected, and nothing is generated without one; connect one first.")
    question = question_about(dataset, plan)
    if question is not None:
        raise Refused(f"{question.sentence} Decide about that first, or describe the topics and send no record.")
    stored = plan.model_dump(mode="json")
    with transaction.atomic():
        running = live_job(lock_key(dataset))
        if running is not None:
            mine = dataset.generation_runs.filter(job=running, plan=stored).first()
            if mine is None:
                raise Refused(BUSY)
            return mine
        run = GenerationRun.objects.create(
            dataset=dataset,
            connection=connection,
            model=connection.helper_model,
            plan=stored,
            before=_counts(dataset),
            created_by_id=by.pk if by else None,
        )
        if plan.priced and priced(connection, run.model).tokens(1, 1) is None:  # what is entered here holds elsewhere
            known = {"input": plan.price_in, "output": plan.price_out}
            enter(dataset.workspace, connection.kind, run.model, known, by=by)
        _queue(run, by)
        detail = f"run {run.pk}, {plural(plan.total, 'record')} by {run.model} of {connection}"
        AuditEntry.write("generate records", dataset, workspace=dataset.workspace, actor=by, detail=detail)  # type: ignore[arg-type]
    return run


def go_on(run: GenerationRun, *, by: HasPk | None) -> Job:
    """A run that was stopped or failed goes on; one that ended short of its plan asks again for what is missing, with
    every strategy and the whole cap of calls anew. Raises Refused where nothing is missing."""
    job = run.job
    if job is not None and job.is_live:
        return job
    if job is not None and job.state in (State.FAILED, State.CANCELLED):
        return retry(job)
    if not missing(run):
        raise Refused("Every record of the plan is there; plan another run for more.")
    with transaction.atomic():
        run.since = run.calls.aggregate(last=Max("number"))["last"] or 0
        run.ended, run.finished_at = "", None
        run.save(update_fields=["since", "ended", "finished_at"])
        return _queue(run, by)


def _queue(run: GenerationRun, by: HasPk | None) -> Job:
    job = enqueue(
        GENERATE,
        {"run": run.pk, "dataset": run.dataset_id},
        lock_key=lock_key(run.dataset),
        by=by,
        total=run.planned.total,
    )
    if job.params["run"] != run.pk:
        raise Refused(BUSY)
    run.job = job
    run.save(update_fields=["job"])
    ActionRun.objects.get_or_create(job=job, defaults={"dataset": run.dataset, "action": GENERATE})
    return job


def _counts(dataset: Dataset) -> dict[str, int]:
    counts = topic_counts(dataset)
    return {name: counts.get(name, 0) for name in dataset.topics.leaves()}


# --- what came of one -------------------------------------------------------------------------------------------------


def missing(run: GenerationRun) -> dict[str, int]:
    """Records of the plan that are still to come, by topic."""
    tallies = tallies_of(run.calls.all())
    left = {topic.topic: topic.number - valid_of(tallies, topic.topic) for topic in run.planned.topics}
    return {topic: number for topic, number in left.items() if number > 0}


def spent(run: GenerationRun) -> dict[str, Any]:
    """Calls that may have been paid for, their tokens, and what they cost where the prices are known."""
    paid = run.calls.filter(state__in=GenerationCall.SPENT)
    found = paid.aggregate(given=Sum("prompt_tokens"), got=Sum("completion_tokens"), seconds=Avg("seconds"))
    given, got = found["given"] or 0, found["got"] or 0
    usd = run.planned.usd(given, got)
    return {"calls": paid.count(), "tokens_in": given, "tokens_out": got, "usd": usd, "seconds": found["seconds"]}


def call_of(record: DatasetRecord) -> GenerationCall | None:
    """The call that brought a generated record; None for any other record."""
    parts = record.import_key.split(":")
    if record.source != GENERATED or len(parts) != 4 or not all(part.isdecimal() for part in parts[1:]):
        return None
    calls = GenerationCall.objects.select_related("run__connection").filter(run__dataset=record.dataset_id)
    return calls.filter(run=int(parts[1]), number=int(parts[2])).first()


def rejected(calls: QuerySet[GenerationCall]) -> list[dict[str, str]]:
    """What did not pass, with its topic and strategy, in the order of the calls."""
    rows = calls.exclude(rejected=[]).values_list("topic", "strategy", "rejected")
    return [{"topic": topic, "strategy": how, **one} for topic, how, found in rows.iterator() for one in found]


def possible_for(plan: Plan, seeds: Mapping[str, tuple[bool, bool]]) -> dict[str, list[Strategy]]:
    """Strategies per topic. ``seeds``: whether the topic has records, and whether some of them have tools."""
    return {
        topic.topic: strategies_of(topic.strategy, seeds=seeds[topic.topic][0], tools=seeds[topic.topic][1])
        for topic in plan.topics
    }


def gaps_csv(dataset: Dataset) -> str:
    """What lacks per topic, with what says what it is about: for people who write the records themselves."""
    report, needs = coverage_report(dataset), {topic.topic: topic.number for topic in suggestion(dataset).topics}
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(["topic", "records", "target_percent", "needed", "description", "keywords"])
    tree = dataset.topics
    for name, entry in sorted(report.distribution.items(), key=lambda pair: -pair[1].gap):
        about = tree.topics[name]
        words = [about.description, ", ".join(about.keywords)]
        table.writerow([name, entry.count, round(entry.target_percentage, 1), needs.get(name, 0), *map(guarded, words)])
    return out.getvalue()

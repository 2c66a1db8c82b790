"""Generation against a model over real HTTP that answers well, badly, slowly, brokenly, not at all, and with copies."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Q

from datasets_app import actions, bulk, generation
from datasets_app.core import topic_edits
from datasets_app.core.generating import Plan, Strategy, TopicPlan
from datasets_app.core.records import loads
from datasets_app.core.topics import flat_tree
from datasets_app.facts import dataset_facts
from datasets_app.jobs.generating import report_of
from datasets_app.models import GENERATED, Dataset, GenerationCall, GenerationRun
from datasets_app.services import Refused
from datasets_app.topic_commands import replace_tree
from rft_project.connections import services as connections
from rft_project.connections.pacing import pace_of
from rft_project.money import expenses
from rft_project.money.models import Expense
from tests.emulators import writer
from tests.factories import import_file, make_dataset, plan_of, record, small_dataset, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(workspace: Any) -> Dataset:
    return small_dataset(workspace)


@pytest.fixture
def model(workspace: Any, settings: Any, owner: Any) -> Iterator[Callable[..., writer.WriterModel]]:
    """``model("well")``: a server that is the workspace's helper."""
    with ExitStack() as stack:

        def start(way: str = "well", **options: Any) -> writer.WriterModel:
            found = stack.enter_context(writer.running(way, **options))
            settings.ALLOWED_PRIVATE_ENDPOINTS = [found.place]
            connections.connect_helper(workspace, found.url, writer.MODEL, by=owner)
            return found

        yield start


def plan_for(dataset: Dataset, number: int = 20, **more: Any) -> Plan:
    """``number`` records for the first topic."""
    topic = {name: more.pop(name) for name in ("strategy", "examples") if name in more}
    leaf = more.pop("topic", dataset.topics.leaves()[0])
    return Plan(topics=[TopicPlan(topic=leaf, number=number, **topic)], **more)


def generate(dataset: Dataset, plan: Plan) -> GenerationRun:
    run = generation.begin(dataset, plan, by=None)
    drain()
    run.refresh_from_db()
    return run


def reasons(run: GenerationRun) -> dict[str, int]:
    return report_of(run)["reasons"]


def test_a_model_that_writes_well_fills_the_plan(dataset: Dataset, model: Any) -> None:
    asked = model("well")
    leaf = dataset.topics.leaves()[0]
    before = dataset_facts(dataset).topics[leaf]
    run = generate(dataset, plan_for(dataset, 20))
    assert (run.job.state, run.ended) == ("SUCCEEDED", "complete")
    records = list(run.records().select_related("raw"))
    assert len(records) == 20
    assert {(r.source, r.is_generated, r.verdict, r.topic, r.method) for r in records} == {
        (GENERATED, True, "valid", leaf, "generated")
    }
    assert dataset_facts(dataset).topics[leaf] == before + 20
    assert (run.before[leaf], run.after[leaf]) == (before, before + 20)
    assert asked.schemas == len(asked.asked)
    assert run.job.result["valid"] == 20
    assert dataset.action_runs.filter(action="sanitize", job__state="SUCCEEDED").count() == 2


def test_what_a_rate_limit_keeps_back_is_planned_again_and_costs_nothing(dataset: Dataset, model: Any) -> None:
    asked = model("well")
    with pace_of(dataset.workspace.connections.get(helper_model=writer.MODEL)).management() as permit:
        permit.answered(429, {"retry-after": "100"})
    before = len(asked.asked)
    run = generate(dataset, plan_for(dataset, 20))
    assert run.job.state == "WAITING"
    assert run.job.note.startswith("The rate limit of ")
    assert set(run.calls.values_list("state", "sent_at")) == {(GenerationCall.State.PLANNED, None)}
    assert len(asked.asked) == before
    assert not Expense.objects.exists()


def test_a_generated_record_is_a_whole_prompt_with_its_lineage(dataset: Dataset, model: Any) -> None:
    model("well")
    run = generate(dataset, plan_for(dataset, 5, strategy="few_shot"))
    seed = dataset.records.exclude(source=GENERATED).filter(topic=dataset.topics.leaves()[0]).first()
    for made in run.records():
        trace = made.trace
        assert trace.messages[0] == seed.trace.messages[0]
        assert trace.messages[-1]["role"] == "user"
        call = generation.call_of(made)
        assert call is not None
        assert trace.metadata["generation"] == {
            "run": run.pk,
            "topic": made.topic,
            "strategy": "few_shot",
            "examples": call.examples,
            "model": writer.MODEL,
        }
        shown = dataset.records.filter(pk__in=call.examples)
        assert {r.topic for r in shown} == {made.topic}
        assert trace.reference_answer in {s.trace.reference_answer for s in dataset.records.exclude(source=GENERATED)}


def test_examples_are_data_and_description_sends_none(dataset: Dataset, model: Any) -> None:
    asked = model("well")
    generate(dataset, plan_for(dataset, 5, strategy="description"))
    assert [set(one) for one in asked.asked] == [{"number", "topic", "description", "keywords", "labels"}]


def test_the_mix_uses_every_strategy_that_is_possible(dataset: Dataset, model: Any) -> None:
    model("well")
    run = generate(dataset, plan_for(dataset, 50))
    assert set(run.calls.values_list("strategy", flat=True)) == set(Strategy)
    assert set(run.job.result["strategies"]) == set(Strategy)


def test_what_is_off_topic_is_kept_and_marked_for_review(dataset: Dataset, model: Any) -> None:
    model("off_topic")
    run = generate(dataset, plan_for(dataset, 10))
    assert run.records().count() == 10
    assert run.measured.on_topic is not None
    assert run.measured.on_topic <= 0.3
    assert run.records().filter(needs_review=True).count() >= 7
    assert "marked for review" in run.measured.sentences()[1]


@pytest.mark.parametrize(
    ("way", "codes"),
    [
        ("too_short", {"too_short"}),
        ("malformed", {"unreadable"}),
        ("refusing", {"refusal"}),
        ("artefacts", {"artefact", "placeholder", "example_label"}),
    ],
)
def test_a_model_that_brings_nothing_is_given_up_with_its_reasons(
    dataset: Dataset, model: Any, way: str, codes: set[str]
) -> None:
    asked = model(way)
    run = generate(dataset, plan_for(dataset, 40, strategy="few_shot"))
    assert (run.job.state, run.ended) == ("SUCCEEDED", "hopeless")
    assert run.records().count() == 0
    assert set(reasons(run)) == codes
    assert 2 <= len(asked.asked) <= 4
    requested = run.calls.values_list("wanted", flat=True)
    assert sum(reasons(run).values()) == sum(requested)
    for one in generation.rejected(run.calls.all()):
        assert one["sentence"].endswith((".", "…"))


def test_copies_of_the_examples_are_no_records(dataset: Dataset, model: Any) -> None:
    model("copying")
    run = generate(dataset, plan_for(dataset, 20, strategy="few_shot"))
    assert run.records().count() == 0
    assert {"copy_of_record", "near_copy_of_record"} >= set(reasons(run)) >= {"copy_of_record"}


def test_a_message_that_repeats_itself_becomes_one_record(dataset: Dataset, model: Any) -> None:
    model("repeating")
    run = generate(dataset, plan_for(dataset, 20, strategy="few_shot"))
    assert run.records().count() == 1
    assert set(reasons(run)) == {"copy_of_generated"}


@pytest.mark.parametrize("way", ["in_words", "cut_off", "half_well"])
def test_what_is_usable_in_a_bad_answer_is_used(dataset: Dataset, model: Any, way: str) -> None:
    """Each call brings a part; others are asked for the rest until the plan is met."""
    model(way)
    run = generate(dataset, plan_for(dataset, 30))
    assert (run.ended, run.records().count()) == ("complete", 30)
    assert {"in_words": set(), "cut_off": {"missing"}, "half_well": {"too_short"}}[way] == set(reasons(run)) - {
        "surplus"
    }


def test_a_slow_model_is_asked_many_things_at_once(dataset: Dataset, model: Any) -> None:
    asked = model("well", seconds=0.3)
    run = generate(dataset, plan_for(dataset, 80, max_synthetic_ratio=0.9))
    assert run.ended == "complete"
    assert asked.most_at_once == 8


def test_a_run_of_many_slices_is_one_run(dataset: Dataset, model: Any) -> None:
    """Each slice makes some calls, and the records it brought do not raise a question about what may be shown."""
    asked = model("well")
    run = generation.begin(dataset, plan_for(dataset, 40), by=None)
    assert drain(slice_seconds=0) >= 4
    run.refresh_from_db()
    assert (run.job.state, run.job.error_message, run.ended) == ("SUCCEEDED", "", "complete")
    assert (run.records().count(), len(asked.asked)) == (40, run.calls.count())


def test_records_with_undecided_findings_are_not_shown(workspace: Any, model: Any, tmp_path: Any) -> None:
    lines = [
        record(f"Parcel {n}: write to sam.miller{n}@example.com about the {w} lamp.") for n, w in enumerate("abcde")
    ]
    dataset = make_dataset(workspace)
    import_file(dataset, write_lines(tmp_path / "t.jsonl", *lines))
    replace_tree(dataset, flat_tree({"parcels": ("Parcels.", ["parcel"])}), "A tree.")
    asked = model()
    with pytest.raises(Refused, match="Nobody has looked through the records"):
        generation.begin(dataset, plan_for(dataset, 5), by=None)
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()
    with pytest.raises(Refused, match="5 e-mail addresses in 5 records could be shown"):
        generation.begin(dataset, plan_for(dataset, 5), by=None)
    run = generate(dataset, plan_for(dataset, 5, strategy="description"))
    assert run.records().count() == 5
    assert not any("example.com" in json.dumps(one) for one in asked.asked)


def test_a_server_that_takes_no_schema_is_asked_without(dataset: Dataset, model: Any) -> None:
    asked = model("well", takes_schema=False)
    run = generate(dataset, plan_for(dataset, 20))
    assert (run.ended, asked.schemas) == ("complete", 0)


def test_a_busy_server_is_asked_again(dataset: Dataset, model: Any) -> None:
    asked = model("well")
    asked.faults = [429, 500, 503]
    run = generate(dataset, plan_for(dataset, 20))
    assert (run.ended, run.records().count()) == ("complete", 20)


def test_one_refused_call_costs_only_itself(dataset: Dataset, model: Any) -> None:
    asked = model("well")
    asked.faults = [413]
    run = generate(dataset, plan_for(dataset, 20))
    assert (run.ended, reasons(run)) == ("complete", {"call_failed": 10})


def test_a_wrong_key_ends_the_run_with_the_platforms_words_and_it_can_go_on(dataset: Dataset, model: Any) -> None:
    asked = model("well")
    asked.faults = [401] * 8
    run = generate(dataset, plan_for(dataset, 40))
    assert run.job.state == "FAILED"
    assert "does not accept the key: Answered with 401 on purpose." in run.job.error_message
    asked.faults = []
    generation.go_on(run, by=None)
    drain()
    run.refresh_from_db()
    assert (run.ended, run.records().count()) == ("complete", 40)


def test_the_cap_of_calls_is_kept_and_what_is_missing_can_be_asked_again(dataset: Dataset, model: Any) -> None:
    asked = model("half_well")
    run = generate(dataset, plan_for(dataset, 40, max_calls=3))
    assert (run.ended, len(asked.asked), run.records().count()) == ("calls", 3, 15)
    assert generation.missing(run) == {dataset.topics.leaves()[0]: 25}
    asked.way = "well"
    generation.go_on(run, by=None)
    drain()
    run.refresh_from_db()
    assert (run.ended, run.records().count(), len(asked.asked)) == ("complete", 40, 6)
    with pytest.raises(Refused, match="Every record of the plan is there"):
        generation.go_on(run, by=None)


def test_a_limit_in_usd_stops_the_run(dataset: Dataset, model: Any) -> None:
    """Each call has 300 tokens in and 200 out: 0.0005 USD at these prices."""
    model("half_well")
    plan = plan_for(dataset, 200, price_in=1.0, price_out=1.0, max_usd=0.004, max_synthetic_ratio=0.9)
    run = generate(dataset, plan)
    assert run.ended == "cost"
    assert generation.spent(run)["usd"] == pytest.approx(0.004)


def test_a_strategy_that_was_given_up_has_its_chance_again(dataset: Dataset, model: Any) -> None:
    asked = model("malformed")
    run = generate(dataset, plan_for(dataset, 20, strategy="few_shot"))
    assert run.ended == "hopeless"
    asked.way = "well"
    generation.go_on(run, by=None)
    drain()
    run.refresh_from_db()
    assert (run.ended, run.records().count()) == ("complete", 20)


def test_a_topic_without_records_is_described_not_shown(dataset: Dataset, model: Any) -> None:

    edit = topic_edits.add(dataset.topics, "gift_cards", description="Gift cards.", keywords=["gift card", "voucher"])
    replace_tree(dataset, edit.tree, edit.sentence, edit.moves)
    asked = model("well")
    with pytest.raises(Refused, match="Examples needs a record of the topic"):
        generation.begin(dataset, plan_for(dataset, 5, topic="gift_cards", strategy="few_shot"), by=None)
    run = generate(dataset, plan_for(dataset, 20, topic="gift_cards"))
    assert run.records().count() == 20
    assert not any("examples" in one for one in asked.asked)
    assert set(run.calls.values_list("strategy", flat=True)) == {"description", "scenario"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"number": 0}, "Every topic has 0 records to generate"),
        ({"topic": "nowhere"}, "There is no topic called nowhere any more"),
        ({"strategy": "magic"}, "There is no strategy called magic"),
        ({"number": 100}, "62.5 % of the valid records generated; the plan allows 50 %"),
        ({"max_usd": 1.0}, "needs both prices"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_with_a_sentence(
    dataset: Dataset, model: Any, change: Any, sentence: str
) -> None:
    model()
    with pytest.raises(Refused) as refused:
        generation.begin(dataset, plan_for(dataset, **{"number": 5, **change}), by=None)
    assert sentence in str(refused.value).replace("\u00a0", " ")


def test_without_a_helper_nothing_is_generated(dataset: Dataset) -> None:
    with pytest.raises(Refused, match="No helper model is connected"):
        generation.begin(dataset, plan_for(dataset), by=None)
    assert GenerationRun.objects.count() == 0


def test_two_people_start_one_run(dataset: Dataset, model: Any) -> None:
    model()
    plan = plan_for(dataset, 5)
    first = generation.begin(dataset, plan, by=None)
    assert generation.begin(dataset, plan, by=None) == first
    with pytest.raises(Refused, match="A generation is at work"):
        generation.begin(dataset, plan_for(dataset, 6), by=None)


def test_a_call_that_was_on_its_way_is_not_made_again_and_a_stored_answer_is_used(dataset: Dataset, model: Any) -> None:
    """As a killed worker leaves it: one answer kept and not looked at, one call whose answer nobody got."""
    asked = model("well")
    run = generation.begin(dataset, plan_for(dataset, 20, strategy="description"), by=None)
    body = {
        "messages": [{"content": "Write 10 DATA\n" + '{"topic": "x", "keywords": ["a lamp"], "labels": ["account"]}'}]
    }
    label = dataset.records.first().trace.reference_answer
    answer = writer.well(body, random.Random(5)).replace('"account"', f'"{label}"')
    same = {"run": run, "topic": dataset.topics.leaves()[0], "strategy": "description", "wanted": 10}
    kept = GenerationCall.objects.create(number=1, state="answered", answer=answer, **same)
    lost = GenerationCall.objects.create(number=2, state="sent", **same)
    drain()
    kept.refresh_from_db()
    lost.refresh_from_db()
    run.refresh_from_db()
    assert (kept.state, kept.answer, lost.state) == ("stored", "", "lost")
    assert run.ended == "complete"
    assert run.records().count() == 20
    assert generation.spent(run)["calls"] == len(asked.asked) + 2


def test_deleting_a_run_in_bulk_can_be_undone_with_its_lineage(dataset: Dataset, model: Any) -> None:

    model()
    run = generate(dataset, plan_for(dataset, 10))
    keys = set(run.records().values_list("pk", flat=True))
    change = bulk.begin(dataset, plan_of(dataset, "delete", {"run": str(run.pk)}), by=None)
    drain()
    assert run.records().count() == 0
    assert dataset.records.filter(~Q(source=GENERATED)).count() == 60
    bulk.undo(change, by=None)
    drain()
    assert set(run.records().values_list("pk", flat=True)) == keys
    assert {generation.call_of(made).run_id for made in run.records()} == {run.pk}


def test_tools_of_a_record_stay_with_what_is_made_after_it(workspace: Any, model: Any, tmp_path: Any) -> None:

    tool = {"type": "function", "function": {"name": "find_order", "description": "Finds.", "parameters": {}}}
    lines = [record(f"Where is the parcel number {n} with the {w} lamp?", None) for n, w in enumerate("abcdefghijkl")]
    for line in lines:
        line["input"]["tools"] = [tool]
        del line["reference_answer"]
    dataset = make_dataset(workspace)
    import_file(dataset, write_lines(tmp_path / "t.jsonl", *lines))
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()
    replace_tree(dataset, flat_tree({"parcels": ("Parcels.", ["parcel"])}), "A tree.")
    actions.start(dataset, actions.CATEGORIZE, {}, by=None)
    drain()
    asked = model()
    run = generate(dataset, plan_for(dataset, 5, strategy="tool_chain"))
    assert run.ended == "complete"
    assert {call["tools"][0]["name"] for call in asked.asked} == {"find_order"}
    for found in run.records().select_related("raw"):
        trace = loads(found.raw.body)
        assert (trace.tools, trace.has_reference) == ([tool], False)


def test_the_command_generates_what_every_topic_lacks_and_reports(
    dataset: Dataset, model: Any, capsys: Any, tmp_path: Any
) -> None:
    model()
    first, *others = dataset.topics.leaves()
    plan = tmp_path / "plan.json"
    plan.write_text(f'{{"topics": [{{"topic": "{first}", "number": 4}}]}}', encoding="utf-8")
    call_command("generate_samples", dataset.name, "--plan", str(plan))
    report = json.loads(capsys.readouterr().out)
    assert (report["ended"], report["valid"], report["requested"]) == ("complete", 4, 4)
    assert report["topics"][first]["valid"] == 4
    assert report["on_topic"] is not None
    dataset.topic_targets = {others[0]: 50.0}
    dataset.save(update_fields=["topic_targets"])
    call_command("generate_samples", dataset.name, "--show-plan")
    shown = json.loads(capsys.readouterr().out)
    assert [topic["topic"] for topic in shown["topics"]] == [others[0]]
    assert shown["topics"][0]["number"] > 10


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not JSON"),
        ("[]", "holds no JSON object"),
        ('{"topics": [{"topic": "x", "number": -1}]}', "The plan cannot be used: topics.0.number"),
    ],
)
def test_a_plan_file_that_cannot_be_used_is_named(dataset: Dataset, tmp_path: Any, text: str, sentence: str) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(text, encoding="utf-8")
    with pytest.raises(CommandError, match=sentence):
        call_command("generate_samples", dataset.name, "--plan", str(plan))


def test_every_call_is_an_expense_and_a_cap_of_the_workspace_holds(dataset: Dataset, model: Any) -> None:
    model("well")
    price = {"price_in": 1.0, "price_out": 2.0}
    expenses.set_cap(dataset.workspace, "", usd=None, tokens=10, by=None)
    run = generate(dataset, plan_for(dataset, 20, **price))
    assert (run.job.state, run.job.error_code, run.records().count()) == ("FAILED", "cap", 0)
    assert run.job.error_message.startswith("This month's cap of the workspace, 10 tokens, is reached: ")
    expenses.set_cap(dataset.workspace, "", usd=None, tokens=None, by=None)
    generation.go_on(run, by=None)
    drain()
    run.refresh_from_db()
    assert (run.ended, run.records().count()) == ("complete", 20)
    paid = generation.spent(run)
    spent = expenses.spent(dataset.workspace, f"dataset:{dataset.pk}")
    assert (spent.tokens, spent.unpriced) == (paid["tokens_in"] + paid["tokens_out"], 0)
    assert spent.usd == pytest.approx(paid["usd"])
    assert Expense.objects.count() == paid["calls"]

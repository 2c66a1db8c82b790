"""The pages of generation: a plan that counts as one types, connecting a model, watching, stopping, going on."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets_app import generation
from datasets_app.core.generating import Plan, TopicPlan
from datasets_app.models import GENERATED, Dataset, GenerationRun
from rft_project.connections.models import Connection
from rft_project.connections.services import connect_helper
from tests.emulators import writer
from tests.factories import small_dataset
from tests.worker import drain

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(workspace: Any) -> Dataset:
    """The first topic should have half of the records."""
    made = small_dataset(workspace)
    made.topic_targets = {made.topics.leaves()[0]: 50.0}
    made.save(update_fields=["topic_targets"])
    return made


@pytest.fixture
def model(settings: Any) -> Iterator[writer.WriterModel]:
    with writer.running("well") as found:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [found.place]
        yield found


@pytest.fixture
def helped(dataset: Dataset, model: writer.WriterModel, owner: Any) -> writer.WriterModel:
    connect_helper(dataset.workspace, model.url, writer.MODEL, by=owner)
    return model


@pytest.fixture
def page(owner: Any, client_of: Any) -> Client:
    return client_of(owner)


def address(name: str, dataset: Dataset, *more: int) -> str:
    return reverse(f"datasets:{name}", args=[dataset.pk, *more])


def text(answer: Any) -> str:
    words = unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).replace("\u00a0", " ").split()
    return " ".join(words).replace(" ,", ",")


@pytest.fixture
def given(dataset: Dataset) -> Callable[..., dict[str, Any]]:
    """The fields of a plan: ``number`` records for the first topic, none for the others."""

    def of(number: int, **more: Any) -> dict[str, Any]:
        fields: dict[str, Any] = {"share": 50, "max_calls": 50, "price_in": "", "price_out": "", "max_usd": ""}
        for at, leaf in enumerate(dataset.topics.leaves()):
            fields |= {f"number-{leaf}": 0 if at else number, f"how-{leaf}": "mix", f"shown-{leaf}": 5}
        return fields | more

    return of


def test_without_a_model_the_page_says_what_works_and_offers_two_fields(dataset: Dataset, page: Client) -> None:
    shown = text(page.get(address("generate", dataset)))
    assert "Connect a model that writes." in shown
    assert "Nothing is made up without one" in shown
    assert "Download the gaps" in shown
    assert "Ask it once and save" in shown
    assert " Generate records" in shown


def test_the_gaps_are_a_table_for_people(dataset: Dataset, page: Client) -> None:
    answer = page.get(address("gaps", dataset))
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert {row["topic"] for row in rows} == set(dataset.topics.leaves())
    plan = generation.suggestion(dataset)
    assert {row["topic"]: int(row["needed"]) for row in rows if row["needed"] != "0"} == {
        topic.topic: topic.number for topic in plan.topics
    }


def test_two_fields_connect_a_model_which_is_asked_first(dataset: Dataset, page: Client, model: Any) -> None:
    bare = f"http://{model.place}"  # as people write the address of their server
    answer = page.post(address("set_helper", dataset), {"address": bare, "model": writer.MODEL}, follow=True)
    assert "writer-1 answered; it writes from now on." in text(answer)
    made = Connection.objects.get(kind="compatible")
    assert (made.address, made.helper_model, made.hint) == (model.url, writer.MODEL, "")
    assert "Start, or change any number first." in text(answer)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"address": "http://10.0.0.5:11434", "model": "m"}, "Only addresses that begin with https:// are called"),
        ({"address": "https://10.0.0.5:11434", "model": "m"}, "lists 10.0.0.5:11434 in ALLOWED_PRIVATE_ENDPOINTS."),
        ({"address": "", "model": "m"}, "This field is required."),
        ({"address": "https://models.example.org", "model": "m", "key": "two words"}, "A key is one word"),
    ],
)
def test_a_model_that_cannot_be_called_is_not_saved(
    dataset: Dataset, page: Client, fields: dict[str, str], sentence: str
) -> None:
    answer = page.post(address("set_helper", dataset), fields)
    assert answer.status_code == 422
    assert sentence in text(answer)
    assert not Connection.objects.filter(kind="compatible").exists()


def test_a_model_that_does_not_answer_is_said_so(dataset: Dataset, page: Client, model: Any) -> None:
    model.faults = [404]
    answer = page.post(address("set_helper", dataset), {"address": model.url, "model": "nobody"})
    assert (answer.status_code, Connection.objects.filter(kind="compatible").count()) == (422, 0)
    assert "nobody does not answer, so it was not saved" in text(answer)


def test_a_colleague_plans_but_does_not_connect(dataset: Dataset, colleague: Any, client_of: Any, model: Any) -> None:
    client = client_of(colleague)
    assert "Only an owner of the workspace may connect a model" in text(client.get(address("generate", dataset)))
    answer = client.post(address("set_helper", dataset), {"address": model.url, "model": writer.MODEL})
    assert (answer.status_code, Connection.objects.filter(kind="compatible").count()) == (404, 0)


def test_totals_follow_the_numbers(dataset: Dataset, page: Client, given: Any) -> None:
    def totals(**fields: Any) -> str:
        return text(page.get(address("plan_totals", dataset), fields, headers={"HX-Request": "true"}))

    some = totals(**given(20))
    assert "To generate 20 Records that pass every check." in some
    assert "Generated share 25 % 0 % now; at most 50 %." in some
    assert "Calls 2 to 4" in some
    assert "Cost unknown Enter the two prices below to see it." in some
    assert "62.5 % of the valid records generated; the plan allows 50 %" in totals(**given(100))
    assert "USD From all passes" in totals(**given(20, price_in=1, price_out=4))
    assert "Some numbers cannot be used" in totals(**given(-3))
    assert page.get(address("plan_totals", dataset)).status_code == 303


def test_a_plan_becomes_a_run_that_shows_what_came(dataset: Dataset, page: Client, helped: Any, given: Any) -> None:
    answer = page.post(address("generate", dataset), given(20))
    run = GenerationRun.objects.get()
    assert answer["Location"] == run.get_absolute_url()
    assert "is writing. You can leave this page" in text(page.get(run.get_absolute_url()))
    assert "A generation is at work." in text(page.get(address("generate", dataset)))
    drain()
    shown = text(page.get(run.get_absolute_url()))
    assert "20 records of 20 planned came through the checks. Every record of the plan is there." in shown
    assert "The categorizer would put" in shown
    assert "Look at the records." in shown
    leaf = dataset.topics.leaves()[0]
    assert f"{run.before[leaf]} → {run.before[leaf] + 20}" in shown
    listed = text(page.get(address("records", dataset) + f"?run={run.pk}"))
    assert "20" in listed
    assert listed.count("generated") >= 20


def test_a_plan_with_a_wrong_number_says_so_beside_it(dataset: Dataset, page: Client, helped: Any, given: Any) -> None:
    answer = page.post(address("generate", dataset), given(100))
    assert answer.status_code == 422
    assert "Lower the numbers, or raise what is allowed." in text(answer)
    answer = page.post(address("generate", dataset), given("many"))
    assert (answer.status_code, "Enter a whole number." in text(answer)) == (422, True)
    assert GenerationRun.objects.count() == 0


def test_a_stopped_run_keeps_what_came_and_resumes(dataset: Dataset, page: Client, helped: Any) -> None:
    leaf = dataset.topics.leaves()[0]
    run = generation.begin(dataset, Plan(topics=[TopicPlan(topic=leaf, number=120)], max_synthetic_ratio=0.9), by=None)
    drain(1, slice_seconds=0)
    page.post(address("stop_generate", dataset, run.pk))
    drain()
    run.refresh_from_db()
    came = run.records().count()
    assert (run.job.state, run.ended) == ("CANCELLED", "")
    assert 0 < came < 120
    shown = text(page.get(run.get_absolute_url()))
    assert "It was stopped; what came is kept." in shown
    assert "Resume" in shown
    page.post(address("run_generate", dataset, run.pk))
    drain()
    assert run.records().count() == 120


def test_a_run_that_brought_nothing_shows_its_reasons(dataset: Dataset, page: Client, helped: Any) -> None:
    helped.way = "refusing"
    leaf = dataset.topics.leaves()[0]
    run = generation.begin(dataset, Plan(topics=[TopicPlan(topic=leaf, number=40, strategy="few_shot")]), by=None)
    drain()
    shown = text(page.get(run.get_absolute_url()))
    assert "It stopped by itself: under 10 % of what was asked for passed the checks." in shown
    assert "Look at why nothing passed." in shown
    assert "The model refused It refuses instead of asking: “I'm sorry, but I can't help with creating such" in shown
    assert "Regenerate failed" in shown


def test_a_generated_record_names_its_run_and_the_records_it_was_made_after(
    dataset: Dataset, page: Client, helped: Any
) -> None:
    leaf = dataset.topics.leaves()[0]
    topic = TopicPlan(topic=leaf, number=5, strategy="few_shot", examples=2)
    run = generation.begin(dataset, Plan(topics=[topic]), by=None)
    drain()
    record = run.records().first()
    shown = text(page.get(address("record", dataset, record.pk)))
    assert f"Generated by Examples with writer-1, run {run.pk}, for {leaf}" in shown
    assert f"Made after {', '.join(map(str, generation.call_of(record).examples))}" in shown
    assert "Found by what it was made for" in shown
    assert "Generated by" not in text(page.get(address("record", dataset, dataset.records.first().pk)))


def test_the_way_to_it_is_on_the_datasets_page(dataset: Dataset, page: Client, helped: Any) -> None:
    answer = page.get(dataset.get_absolute_url())
    shown = text(answer)
    needs = sum(topic.number for topic in generation.suggestion(dataset).topics)
    assert f"{needs} suggested" in shown
    assert f"{needs:,} records would bring {dataset.topics.leaves()[0].replace('_', ' ').capitalize()}" in shown
    assert answer.content.decode().count(address("generate", dataset)) >= 2


def test_deleting_a_run_begins_with_a_look_at_it(dataset: Dataset, page: Client, helped: Any) -> None:
    leaf = dataset.topics.leaves()[0]
    run = generation.begin(dataset, Plan(topics=[TopicPlan(topic=leaf, number=5)]), by=None)
    drain()
    look = page.get(address("bulk_change", dataset) + f"?action=delete&all=1&run={run.pk}")
    assert "5 records" in text(look)
    page.post(address("bulk_change", dataset), {"action": "delete", "all": "1", "run": run.pk})
    drain()
    assert (run.records().count(), dataset.records.count()) == (0, 60)
    assert not dataset.records.filter(source=GENERATED).exists()

"""The review: questions in the order of what an answer teaches, answers that stay and teach, and the way back."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from datasets_app import actions, changes, reviewing, services
from datasets_app.core.topics import UNKNOWN, flat_tree
from datasets_app.jobs.categorizing import DOUBTFUL
from datasets_app.models import Dataset, Question
from datasets_app.panels import question_panel
from datasets_app.panels.reviewing import changed_sentence, why_sentence
from datasets_app.topic_commands import replace_tree
from tests.factories import small_dataset
from tests.worker import drain

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}


def sort(dataset: Dataset) -> dict[str, Any]:
    job = actions.start(dataset, actions.CATEGORIZE, {}, by=None)
    drain()
    job.refresh_from_db()
    assert job.state == "SUCCEEDED", job.error_message
    dataset.refresh_from_db()
    return job.result


@pytest.fixture
def doubtful(workspace: Any) -> Dataset:
    """The small help desk under topics whose names say little, so that much is asked."""
    dataset = small_dataset(workspace)
    names = ["kind_one", "kind_two", "kind_three", "money_back", "signing_in"]
    replace_tree(dataset, flat_tree({name: ("", []) for name in names}), "Vague topics.")
    actions.last_run(dataset, actions.TOPICS).job.delete()  # type: ignore[union-attr]  # what it found typical teaches too
    sort(dataset)
    return dataset


def test_what_is_doubtful_is_asked_in_order_and_nothing_else(doubtful: Dataset) -> None:
    asked = list(doubtful.questions.order_by("rank"))
    unsure = set(doubtful.records.filter(needs_review=True).values_list("pk", flat=True))
    assert {question.pk for question in asked} == unsure
    assert [question.rank for question in asked] == list(range(1, len(asked) + 1))
    assert len(asked) >= 10
    for question in asked:
        shares = [share for _, share in question.choices]
        assert shares == sorted(shares, reverse=True)
        assert {name for name, _ in question.choices} == set(doubtful.topics.leaves())


def test_an_answer_leads_on_and_undo_leads_back(doubtful: Dataset, owner: Any) -> None:
    first, second, *_ = doubtful.questions.order_by("rank")
    change = reviewing.answer(first.record, "kind two", by=owner)
    assert change is not None
    first.record.refresh_from_db()
    assert (first.record.topic, first.record.method, first.record.needs_review) == ("kind_two", "manual", False)
    assert reviewing.next_question(doubtful) == second
    assert reviewing.standing(doubtful).answered == 1
    assert reviewing.undo(doubtful, by=owner) == "1\u00a0record is as before."
    assert reviewing.next_question(doubtful) == first
    with pytest.raises(services.Refused, match="no answer of yours"):
        reviewing.undo(doubtful, by=owner)


def test_what_is_skipped_waits_until_it_is_asked_for(doubtful: Dataset) -> None:
    first, second, *_ = doubtful.questions.order_by("rank")
    before = reviewing.standing(doubtful)
    reviewing.skip(doubtful, first.pk)
    assert reviewing.next_question(doubtful) == second
    assert reviewing.standing(doubtful) == reviewing.Standing(0, before.open - 1, 1)
    assert reviewing.ask_again(doubtful) == 1
    assert reviewing.next_question(doubtful) == first


@pytest.mark.parametrize(
    ("said", "meant"),
    [("kind_two", "kind_two"), ("Kind two", "kind_two"), ("money", "money_back"), ("unknown", UNKNOWN)],
)
def test_a_topic_may_be_named_as_people_write(doubtful: Dataset, said: str, meant: str) -> None:
    assert reviewing.topic_meant(doubtful, said) == meant


@pytest.mark.parametrize(
    ("said", "sentence"), [("kind", "is in the names of 3 topics"), ("weather", "No topic is called"), ("", "No topic")]
)
def test_what_names_no_topic_is_said(doubtful: Dataset, said: str, sentence: str) -> None:
    with pytest.raises(services.Refused, match=sentence):
        reviewing.topic_meant(doubtful, said)


def test_answers_teach_the_next_run_which_says_what_it_changed(doubtful: Dataset, owner: Any) -> None:
    topic_of = {"billing": "kind_one", "technical": "kind_two"}
    unsure = doubtful.records.filter(needs_review=True).count()
    for question in doubtful.questions.order_by("rank")[:10]:
        said = topic_of.get(question.record.trace.reference_answer, "kind_three")
        reviewing.answer(question.record, said, by=owner)
    before = dict(doubtful.records.exclude(method="manual").values_list("pk", "topic"))
    result = sort(doubtful)
    after = dict(doubtful.records.exclude(method="manual").values_list("pk", "topic"))
    assert result["moved"] == sum(before[pk] != topic for pk, topic in after.items()) > 0
    assert result["examples"] == 10 == result["manual"]
    assert result["doubtful_before"] == unsure - 10
    assert result["needs_review"] + result["unknown"] == doubtful.records.filter(DOUBTFUL).count()
    said = question_panel(doubtful).changed
    assert said.startswith(
        f"Sorted again with what people had answered (10\u00a0records): {result['moved']}\u00a0record"
    )
    assert reviewing.standing(doubtful).answered == 0, "a new round"


def test_a_first_run_has_nothing_to_say() -> None:
    result = {"examples": 0, "doubtful_before": 3, "moved": 1, "needs_review": 2, "unknown": 0}
    assert changed_sentence(result) == changed_sentence({}) == ""


def test_a_round_has_an_end() -> None:
    assert reviewing.Standing(12, 400, 0).goal == 40
    assert reviewing.Standing(12, 400, 0).seconds == 84
    assert reviewing.Standing(40, 400, 0).goal == 80
    assert reviewing.Standing(40, 0, 2).goal == 40
    assert reviewing.Standing(3, 4, 0).goal == 7


def test_records_that_went_or_broke_are_not_asked_about(doubtful: Dataset) -> None:
    first, second, third, *_ = doubtful.questions.order_by("rank")
    changes.remove(doubtful.records.filter(pk=first.pk))
    doubtful.records.filter(pk=second.pk).update(verdict="invalid")
    assert reviewing.next_question(doubtful) == third
    assert not Question.objects.filter(pk=first.pk).exists()


def test_why_it_is_asked(doubtful: Dataset) -> None:
    question = doubtful.questions.exclude(record__topic=UNKNOWN).first()
    assert question is not None
    question.alike = 2
    likely = [("kind_two", 0.41), ("kind_one", 0.3), ("kind_three", 0.1)]
    assert why_sentence(question, likely).startswith("It could be Kind two (41")
    assert why_sentence(question, likely).endswith(
        "2 other doubtful records are worded like it: your answer teaches about them too."
    )
    question.alike, question.record.topic = 0, UNKNOWN
    assert why_sentence(question, likely).startswith("It resembles no topic enough; closest is Kind two")


def test_the_page_answers_with_the_next_question(doubtful: Dataset, owner: Any, client_of: Any) -> None:
    client = client_of(owner)
    first, second, *_ = doubtful.questions.order_by("rank")
    page = client.get(reverse("datasets:review", args=[doubtful.pk]))
    assert page.status_code == 200
    assert page.context["panel"].question == first
    address = reverse("datasets:answer", args=[doubtful.pk, first.pk])
    wrong = client.post(address, {"topic": "weather"}, headers=HTMX)
    assert (wrong.status_code, wrong.context["panel"].question) == (422, first)
    assert "No topic is called “weather”" in wrong.content.decode()
    right = client.post(address, {"topic": "kind_one"}, headers=HTMX)
    assert (right.status_code, right.context["panel"].question) == (200, second)
    skipped = client.post(reverse("datasets:skip", args=[doubtful.pk, second.pk]), headers=HTMX)
    assert skipped.context["panel"].put_off == second.pk
    undo = reverse("datasets:undo_answer", args=[doubtful.pk])
    back = client.post(undo, {"put_off": second.pk}, headers=HTMX)
    assert back.context["panel"].question == second
    assert client.post(undo, headers=HTMX).context["panel"].question == first
    plain = client.post(address, {"topic": "kind_one"})
    assert (plain.status_code, plain["Location"]) == (303, reverse("datasets:review", args=[doubtful.pk]))


def test_sorting_again_leads_back_to_the_review(doubtful: Dataset, owner: Any, client_of: Any) -> None:
    answer = client_of(owner).post(reverse("datasets:run_categorize", args=[doubtful.pk]), {"review": "1"})
    assert (answer.status_code, answer["Location"]) == (303, reverse("datasets:review", args=[doubtful.pk]))


@pytest.mark.parametrize("answered", [1, 3])
def test_a_question_costs_the_same_however_many_there_are(
    doubtful: Dataset, owner: Any, client_of: Any, answered: int, django_assert_max_num_queries: Any
) -> None:
    for question in doubtful.questions.order_by("rank")[:answered]:
        reviewing.answer(question.record, "kind_one", by=owner)
    client = client_of(owner)
    with django_assert_max_num_queries(9):
        assert client.get(reverse("datasets:question", args=[doubtful.pk]), headers=HTMX).status_code == 200


def test_without_topics_the_page_says_where_they_come_from(workspace: Any, owner: Any, client_of: Any) -> None:
    dataset = services.create_dataset(workspace, "Empty", by=None)
    page = client_of(owner).get(reverse("datasets:review", args=[dataset.pk])).content.decode()
    assert "Choose topics first." in page

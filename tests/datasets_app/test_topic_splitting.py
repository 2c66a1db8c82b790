"""Splitting a topic, and new topics among records that fit none: proposed by clustering, taken by people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets_app import editing, topic_commands
from datasets_app.core.topics import parse_tree
from datasets_app.models import Dataset, TopicProposal
from tests.datasets_app.core.help_desk import desk
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(workspace: Any, tmp_path: Path) -> Dataset:
    """The help desk of six intents, all of it under one topic."""
    dataset = make_dataset(workspace)
    texts, _ = desk()
    import_file(dataset, write_lines(tmp_path / "t", *(record(text) for text in texts)))
    tree = parse_tree({"topics": {"requests": {}, "praise": {"keywords": ["well done"]}}})
    topic_commands.replace_tree(dataset, tree, "A tree.")
    dataset.records.update(verdict="valid", topic="requests", confidence=0.9, method="embedding")
    return dataset


@pytest.fixture
def client(owner: Any, client_of: Any) -> Client:
    return client_of(owner)


def split(client: Client, dataset: Dataset, inside: str, **values: Any) -> list[TopicProposal]:
    client.post(reverse("datasets:run_split", args=[dataset.pk]), {"inside": inside, **values})
    drain()
    return list(dataset.topic_proposals.filter(inside=inside))


def accept(client: Client, dataset: Dataset, inside: str, names: dict[TopicProposal, str], **values: Any) -> Any:
    given = {f"name-{one.pk}": name for one, name in names.items()}
    use = [one.pk for one in names]
    page = reverse("datasets:accept_topics", args=[dataset.pk])
    answer = client.post(page, {"inside": inside, "use": use, **given, **values})
    dataset.refresh_from_db()
    return answer


def shown(client: Client, dataset: Dataset, name: str) -> Any:
    return client.get(reverse("datasets:topic", args=[dataset.pk, name])).context["panel"].topic


def test_a_split_is_proposed_with_names_counts_and_examples_and_changes_nothing(
    dataset: Dataset, client: Client
) -> None:
    before = dataset.topic_hierarchy
    found = split(client, dataset, "requests", parts=6)
    assert len(found) == 6
    assert sum(one.count for one in found) == dataset.records.count()
    lines = shown(client, dataset, "requests").proposals
    assert [(line.count, len(line.examples)) for line in lines] == [(one.count, 3) for one in found]
    assert all(line.title and line.keywords for line in lines)
    dataset.refresh_from_db()
    assert dataset.topic_hierarchy == before
    assert set(dataset.records.values_list("topic", flat=True)) == {"requests"}


def test_the_data_choose_how_many_parts_but_eight_at_most(dataset: Dataset, client: Client) -> None:
    assert 3 <= len(split(client, dataset, "requests")) <= 8


def test_the_ticked_parts_get_their_records_under_the_names_given(dataset: Dataset, client: Client) -> None:
    first, second, *rest = split(client, dataset, "requests", parts=6)
    answer = accept(client, dataset, "requests", {first: "The First!", second: second.name})
    assert answer["Location"] == reverse("datasets:topic", args=[dataset.pk, "requests"])
    assert dataset.topics.level("requests") == ["the_first", second.name]
    assert dataset.topics.topics["the_first"].keywords == first.keywords
    kept = sum(one.count for one in rest)
    assert dataset.records.filter(topic="the_first", method="embedding").count() == first.count
    assert dataset.records.filter(topic=None).count() == kept
    assert dataset.topic_examples["the_first"] == first.examples
    assert not dataset.topic_proposals.exists()
    drain()
    assert dataset.records.filter(topic=None).count() == 0
    assert dataset.records.filter(topic="the_first").count() >= first.count - 1


def test_undoing_a_split_puts_the_records_together_again(dataset: Dataset, client: Client) -> None:
    before = dataset.topic_hierarchy
    found = split(client, dataset, "requests", parts=4)
    accept(client, dataset, "requests", {one: one.name for one in found})
    client.post(reverse("datasets:edit_topics", args=[dataset.pk]), {"edit": "undo"})
    dataset.refresh_from_db()
    assert dataset.topic_hierarchy == before
    assert set(dataset.records.values_list("topic", flat=True)) == {"requests"}


def test_what_people_sorted_into_the_topic_comes_back_with_the_undo(
    dataset: Dataset, client: Client, owner: Any
) -> None:
    row = dataset.records.order_by("pk")[0]
    editing.set_topic(row, "praise", by=owner)
    editing.set_topic(row, "requests", by=owner)
    found = split(client, dataset, "requests", parts=3)
    accept(client, dataset, "requests", {one: one.name for one in found})
    row.refresh_from_db()
    assert row.topic in {one.name for one in found}
    client.post(reverse("datasets:edit_topics", args=[dataset.pk]), {"edit": "undo"})
    row.refresh_from_db()
    assert (row.topic, row.method, row.confidence) == ("requests", "manual", 1.0)


def test_one_part_is_no_split(dataset: Dataset, client: Client) -> None:
    first, *_ = split(client, dataset, "requests", parts=3)
    answer = accept(client, dataset, "requests", {first: first.name})
    assert answer.status_code == 422
    assert answer.context["panel"].error.startswith("Keep at least two of the subtopics")
    assert answer.context["panel"].topic.proposals  # still there


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([], "Tick at least one of the proposals."),
        (["praise", "other"], 'There is already a topic "praise": choose another name.'),
        (["same", "same"], 'There is already a topic "same": choose another name.'),
    ],
)
def test_what_cannot_be_taken_says_why(dataset: Dataset, client: Client, names: list[str], sentence: str) -> None:
    before = dataset.topic_hierarchy
    found = split(client, dataset, "requests", parts=3)
    answer = accept(client, dataset, "requests", dict(zip(found, names, strict=False)))
    assert answer.context["panel"].error == sentence
    assert (dataset.topic_hierarchy, dataset.topic_proposals.count()) == (before, 3)


def test_proposals_for_topics_that_have_changed_are_not_taken(dataset: Dataset, client: Client) -> None:
    found = split(client, dataset, "requests", parts=3)
    seen = shown(client, dataset, "requests").seen
    client.post(reverse("datasets:edit_topics", args=[dataset.pk]), {"edit": "add", "new_name": "more"})
    answer = accept(client, dataset, "requests", {one: one.name for one in found}, seen=seen)
    assert answer.context["panel"].error.startswith("Somebody else changed the topics meanwhile;")
    assert "more" in dataset.topics.topics


def test_proposals_are_forgotten_on_request_and_with_their_topic(dataset: Dataset, client: Client) -> None:
    split(client, dataset, "requests", parts=3)
    accept(client, dataset, "requests", {}, forget="on")
    assert not dataset.topic_proposals.exists()
    split(client, dataset, "requests", parts=3)
    client.post(reverse("datasets:edit_topics", args=[dataset.pk]), {"edit": "delete", "name": "requests"})
    assert not dataset.topic_proposals.exists()


def test_a_topic_that_is_all_alike_says_so(workspace: Any, client: Client, tmp_path: Path) -> None:
    dataset = make_dataset(workspace, "Alike")
    import_file(dataset, write_lines(tmp_path / "t", *(record(f"Where is parcel {n}?") for n in range(6))))
    topic_commands.replace_tree(dataset, parse_tree({"topics": {"parcels": {}}}), "A tree.")
    dataset.records.update(verdict="valid", topic="parcels", confidence=0.9, method="embedding")
    assert split(client, dataset, "parcels") == []
    said = shown(client, dataset, "parcels").no_proposal.replace("\u00a0", " ")
    assert said == "The 6 records of Parcels do not fall into groups; say how many you want."


def test_a_topic_with_subtopics_is_not_split(dataset: Dataset, client: Client) -> None:
    client.post(
        reverse("datasets:edit_topics", args=[dataset.pk]), {"edit": "add", "new_name": "x", "parent": "praise"}
    )
    assert split(client, dataset, "praise") == []
    assert not dataset.action_runs.filter(action="split_topic").exists()


def test_records_that_fit_no_topic_become_new_ones(dataset: Dataset, client: Client) -> None:
    dataset.records.update(topic="unknown", confidence=0.1, needs_review=True)
    found = split(client, dataset, "unknown")
    assert len(found) >= 2
    page = client.get(reverse("datasets:topics", args=[dataset.pk]))
    assert page.context["panel"].suggested == [
        (line.title, line.count) for line in shown(client, dataset, "unknown").proposals
    ]
    first = found[0]
    accept(client, dataset, "unknown", {first: "gift cards"})
    assert dataset.topics.roots() == ["requests", "praise", "gift_cards"]
    assert dataset.records.filter(topic="gift_cards").count() == first.count
    assert dataset.records.filter(topic="unknown").count() == dataset.records.count() - first.count


def test_what_a_person_called_unknown_stays_unknown(dataset: Dataset, client: Client, owner: Any) -> None:
    dataset.records.update(topic="unknown", confidence=0.1)
    row = dataset.records.order_by("pk")[0]
    dataset.records.filter(pk=row.pk).update(method="manual")
    found = split(client, dataset, "unknown")
    accept(client, dataset, "unknown", {one: one.name for one in found})
    row.refresh_from_db()
    assert (row.topic, row.method) == ("unknown", "manual")


def test_after_an_edit_only_the_records_concerned_are_sorted(dataset: Dataset, client: Client) -> None:
    keys = list(dataset.records.order_by("pk").values_list("pk", flat=True))
    dataset.records.filter(pk=keys[0]).update(topic="unknown", confidence=0.1)
    dataset.records.filter(pk=keys[1]).update(needs_review=True, confidence=0.3)
    client.post(reverse("datasets:edit_topics", args=[dataset.pk]), {"edit": "add", "new_name": "refund"})
    drain()
    job = dataset.action_runs.get(action="resort").job
    assert (job.state, job.total, job.done) == ("SUCCEEDED", 2, 2)
    assert dataset.records.filter(pk__in=keys[2:], confidence=0.9, topic="requests").count() == len(keys) - 2


def test_stopping_leads_back_to_the_topics(dataset: Dataset, client: Client) -> None:
    client.post(reverse("datasets:run_split", args=[dataset.pk]), {"inside": "requests"})
    answer = client.post(reverse("datasets:stop", args=[dataset.pk, "split_topic"]))
    assert answer["Location"] == reverse("datasets:topics", args=[dataset.pk])
    assert dataset.action_runs.get(action="split_topic").job.state == "CANCELLED"


@pytest.mark.parametrize("person", ["owner", "colleague", "stranger"])
def test_who_may_split(request: Any, dataset: Dataset, client_of: Any, person: str) -> None:
    theirs = client_of(request.getfixturevalue(person))
    status = 404 if person == "stranger" else 302
    for name in ("run_split", "accept_topics"):
        given = {"inside": "requests", "forget": "on"}
        assert theirs.post(reverse(f"datasets:{name}", args=[dataset.pk]), given).status_code == status

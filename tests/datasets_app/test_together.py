"""Topics and records that several people and jobs change at one time, and what undoing gives back."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from datasets_app import actions, editing, services, topic_commands
from datasets_app.core.topics import flat_tree
from datasets_app.models import Dataset, DatasetRecord
from datasets_app.topic_forms import EditTopicForm
from rft_project.jobs.models import Job
from rft_project.jobs.runner import run
from tests.factories import import_file, make_dataset, record, small_dataset, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db


def edit(dataset: Dataset, **values: str) -> str:
    form = EditTopicForm(values)
    assert form.is_valid()
    sentence = topic_commands.apply(dataset, form, by=None).sentence
    dataset.refresh_from_db()
    return sentence


def sort(dataset: Dataset) -> Job:
    return actions.start(dataset, actions.CATEGORIZE, {}, by=None)


@pytest.fixture
def dataset(workspace: Any) -> Dataset:
    return small_dataset(workspace)


def test_an_edit_on_topics_somebody_else_has_changed_is_refused_and_loses_nothing(dataset: Dataset) -> None:
    mine, theirs = (Dataset.objects.get(pk=dataset.pk) for _ in range(2))
    edit(theirs, edit="add", new_name="gift cards")
    with pytest.raises(services.Refused, match="Somebody else changed the topics meanwhile"):
        edit(mine, edit="add", new_name="warranty")
    dataset.refresh_from_db()
    assert dataset.topic_hierarchy == theirs.topic_hierarchy
    assert dataset.topic_edits.count() == 2


def test_undoing_a_delete_gives_back_what_people_had_sorted(dataset: Dataset) -> None:
    name = dataset.topics.leaves()[0]
    row = dataset.records.exclude(topic=name).first()
    editing.set_topic(row, name, by=None)
    edit(dataset, edit="delete", name=name)
    drain()
    row.refresh_from_db()
    assert row.topic != name
    edit(dataset, edit="undo")
    drain()
    row.refresh_from_db()
    assert (row.topic, row.method, row.confidence, row.needs_review) == (name, "manual", 1.0, False)


def test_each_undo_goes_back_by_one_edit(dataset: Dataset) -> None:
    trees = [dataset.topic_hierarchy]
    for name in ("one_more", "two_more", "three_more"):
        edit(dataset, edit="add", new_name=name)
        trees.append(dataset.topic_hierarchy)
    for tree in reversed(trees[:-1]):
        edit(dataset, edit="undo")
        assert dataset.topic_hierarchy == tree


def test_targets_go_with_their_topics_and_come_back(dataset: Dataset) -> None:
    first, second = dataset.topics.leaves()[:2]
    services.set_targets(dataset, {first: "40", second: "10"})
    dataset.refresh_from_db()
    edit(dataset, edit="change", name=first, new_name="renamed")
    assert dataset.topic_targets == {"renamed": 40.0, second: 10.0}
    edit(dataset, edit="merge", name=second, into="renamed")
    assert dataset.topic_targets == {"renamed": 50.0}
    edit(dataset, edit="undo")
    assert dataset.topic_targets == {"renamed": 40.0, second: 10.0}


def test_merging_into_nothing_says_what_to_choose(dataset: Dataset) -> None:
    with pytest.raises(services.Refused, match="Choose the topic that the records go to"):
        edit(dataset, edit="merge", name=dataset.topics.leaves()[0])


def test_topics_that_change_while_records_are_sorted_are_used_for_all_of_them(dataset: Dataset) -> None:
    job = sort(dataset)
    name = dataset.topics.leaves()[0]

    def change_once(progress: Any) -> None:
        if name in Dataset.objects.get(pk=dataset.pk).topics.topics:
            edit(Dataset.objects.get(pk=dataset.pk), edit="delete", name=name)

    run(job.pk, listener=change_once)
    drain()
    job.refresh_from_db()
    dataset.refresh_from_db()
    assert job.state == "SUCCEEDED"
    assert Job.objects.filter(kind="categorize").count() == 2  # the one that found the topics had queued, and this one
    assert set(dataset.records.values_list("topic", flat=True)) <= {*dataset.topics.leaves(), "unknown"}


def test_what_a_person_sorts_while_the_run_is_at_work_stays(dataset: Dataset) -> None:
    """The person speaks just before the run writes what it read earlier."""
    row, topic = dataset.records.order_by("pk").first(), dataset.topics.leaves()[-1]
    dataset.records.update(topic=None)  # so that the run has something to write
    job = sort(dataset)
    spoken: list[str] = []

    def speak_first(execute: Any, sql: str, *rest: Any) -> Any:
        if not spoken and sql.startswith('UPDATE "datasets_app_dataset" SET "name"'):  # it takes its turn
            spoken.append(topic)
            editing.set_topic(DatasetRecord.objects.select_related("dataset").get(pk=row.pk), topic, by=None)
        return execute(sql, *rest)

    with connection.execute_wrapper(speak_first):
        drain()
    job.refresh_from_db()
    row.refresh_from_db()
    assert spoken == [topic]
    assert (job.state, row.topic, row.method) == ("SUCCEEDED", topic, "manual")


def test_new_records_are_sorted_once_they_are_checked(workspace: Any, tmp_path: Any) -> None:
    dataset = make_dataset(workspace)
    tree = flat_tree({"refunds": ("Money back.", ["refund"]), "parcels": ("Deliveries.", ["parcel"])})
    topic_commands.replace_tree(dataset, tree, "Set.")
    import_file(dataset, write_lines(tmp_path / "t", record("Please send my refund to this card.")))
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()
    assert list(dataset.records.values_list("topic", flat=True)) == ["refunds"]

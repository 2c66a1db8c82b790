"""Sanitize, topics and categorize as jobs on a dataset."""

from __future__ import annotations

import pytest

from datasets_app import actions, bulk, editing, services, topic_commands
from datasets_app.facts import coverage_report, dataset_facts
from datasets_app.sample import SAMPLE_PATH
from datasets_app.sample.generate import expected_codes
from datasets_app.topic_forms import EditTopicForm
from rft_project.jobs.models import Job
from tests.factories import import_file, make_dataset, plan_of, record, small_dataset, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db


def sanitize(dataset, **options):
    job = actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain(**options)
    job.refresh_from_db()
    return job.result


@pytest.mark.parametrize("slice_seconds", [0.0, 45.0])
def test_the_sample_gets_the_verdicts_it_was_written_for_wherever_slices_end(workspace, slice_seconds):
    dataset = make_dataset(workspace)
    import_file(dataset, SAMPLE_PATH)
    report = sanitize(dataset, slice_seconds=slice_seconds)
    assert (report["total"], report["valid"], report["rejected"]) == (838, 798, 40)
    assert report["errors_by_type"] == {code: n for code, n in expected_codes().items() if code}
    assert dataset_facts(dataset).unchecked == 0


def test_of_two_duplicates_the_earlier_one_is_kept_and_named(workspace, tmp_path):
    dataset = make_dataset(workspace)
    import_file(
        dataset, write_lines(tmp_path / "a", record("Where is my parcel now?"), record("WHERE  is my parcel now?"))
    )
    sanitize(dataset)
    first, second = dataset.records.order_by("pk")
    assert (first.verdict, second.verdict) == ("valid", "duplicate")
    assert second.issues[0]["detail"] == f"Same conversation as record {first.pk}, which is kept."


def test_a_changed_config_makes_records_unchecked_until_the_next_run(workspace, tmp_path):
    dataset = make_dataset(workspace)
    import_file(dataset, write_lines(tmp_path / "a", record("Where is my parcel now?")))
    sanitize(dataset)
    services.configure_sanitizing(
        dataset, {"min_user_message_length": 100, "max_tokens": 8000, "near_duplicates": True}
    )
    dataset.refresh_from_db()
    assert dataset_facts(dataset).unchecked == 1
    sanitize(dataset)
    assert dataset.records.get().code == "user_message_too_short"


def test_repairs_mend_and_the_next_run_agrees(workspace, tmp_path):
    dataset = make_dataset(workspace)
    broken = record("A question with a \u0007 bell in it")
    import_file(dataset, write_lines(tmp_path / "a", broken))
    sanitize(dataset)
    assert dataset.records.get().code == "control_characters"
    repaired = bulk.begin(dataset, plan_of(dataset, "repair", {"verdict": "invalid"}), by=None)
    assert repaired is not None and repaired.count == 1
    sanitize(dataset)
    row = dataset.records.select_related("raw").get()
    assert (row.verdict, row.data["input"]["messages"][-1]["content"]) == ("valid", "A question with a  bell in it")


def test_pressing_twice_starts_one_job(workspace, owner, client_of, tmp_path):
    dataset = make_dataset(workspace)
    import_file(dataset, write_lines(tmp_path / "a", record("Where is my parcel now?")))
    client = client_of(owner)
    for _ in range(2):
        client.post(f"/datasets/{dataset.pk}/run/sanitize/")
    assert Job.objects.filter(kind="sanitize").count() == 1


def test_topics_are_found_and_every_valid_record_is_sorted(workspace):
    dataset = small_dataset(workspace)
    facts = dataset_facts(dataset)
    assert facts.uncategorized == 0
    assert 2 <= len(facts.topics) <= 7
    report = coverage_report(dataset)
    assert report.total_records + report.unknown == 60


def test_what_a_person_decides_stays_through_a_rerun(workspace):
    dataset = small_dataset(workspace)
    topic = dataset.topics.leaves()[-1]
    row = dataset.records.exclude(topic=topic).first()
    editing.set_topic(row, topic, by=None)
    actions.start(dataset, actions.CATEGORIZE, {}, by=None)
    drain()
    row.refresh_from_db()
    assert (row.topic, row.method, row.needs_review) == (topic, "manual", False)


def test_a_deleted_topic_gives_its_records_up_and_undo_brings_it_back(workspace):
    dataset = small_dataset(workspace)
    before = dataset.topic_hierarchy
    name = dataset.topics.leaves()[0]
    form = EditTopicForm({"edit": "delete", "name": name})
    assert form.is_valid()
    topic_commands.apply(dataset, form, by=None)
    dataset.refresh_from_db()
    assert name not in dataset.topics.topics
    assert not dataset.records.filter(topic=name).exists()
    undo = EditTopicForm({"edit": "undo"})
    assert undo.is_valid()
    topic_commands.apply(dataset, undo, by=None)
    dataset.refresh_from_db()
    assert dataset.topic_hierarchy == before


def test_targets_must_be_percentages_that_fit(workspace):
    dataset = small_dataset(workspace)
    first, second = dataset.topics.leaves()[:2]
    with pytest.raises(services.Refused, match="may not exceed 100"):
        services.set_targets(dataset, {first: "80", second: "30"})
    services.set_targets(dataset, {first: "40", second: ""})
    dataset.refresh_from_db()
    assert coverage_report(dataset).distribution[first].target_percentage == 40.0

"""The page of coverage: targets, what is missing, history, and two moments side by side."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from datasets_app import actions, bulk, moments
from datasets_app.models import CoverageMoment, Dataset
from tests.factories import import_file, make_dataset, plan_of, record, small_dataset, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db
FLAT = {"billing": {}, "shipping": {}, "returns": {}}
NESTED = {"money": {"subtopics": ["billing", "returns"]}, "billing": {}, "returns": {}, "shipping": {}}


@pytest.fixture
def client(owner: Any, client_of: Any) -> Client:
    return client_of(owner)


@pytest.fixture
def dataset_of(workspace: Any, tmp_path: Path) -> Any:
    """``dataset_of(topics, {topic: records})``: valid records by hand under their topics, None for no topic yet."""

    def of(topics: dict[str, Any], counts: dict[str | None, int]) -> Dataset:
        made = make_dataset(workspace)
        for name, topic in topics.items():
            for child in topic.get("subtopics", ()):
                topics[child] = {**topics[child], "parent_topic": name}
        Dataset.objects.filter(pk=made.pk).update(topic_hierarchy={"version": "1.0", "topics": topics})
        lines = [record(f"Question {n} of {topic}, please?") for topic, count in counts.items() for n in range(count)]
        import_file(made, write_lines(tmp_path / "t.jsonl", *lines))
        for topic, count in counts.items():
            kept = made.records.filter(preview__contains=f" of {topic},")
            assert kept.update(topic=topic, method="manual" if topic else "") == count
        made.refresh_from_db()
        return made

    return of


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("\u00a0", " ")


def page_of(client: Client, dataset: Dataset, query: str = "") -> str:
    answer = client.get(f"/datasets/{dataset.pk}/coverage/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def line_of(html: str, topic: str) -> str:
    """The words of a topic's line."""
    (found,) = re.findall(
        rf'<div class="aim"[^>]*><(?:label|span)[^>]*>{topic}</.*?(?=<div class="aim|</div>\n<p>)', html, re.S
    )
    return text_of(found).strip()


def test_every_topic_says_its_share_its_gap_and_its_target(dataset_of: Any, client: Client) -> None:
    dataset = dataset_of(FLAT, {"billing": 6, "shipping": 3, "returns": 1})
    html = page_of(client, dataset)
    assert line_of(html, "billing") == "billing 6 · 60 % 26.7 points over target"
    assert line_of(html, "shipping") == "shipping 3 · 30 % on target"
    assert line_of(html, "returns") == "returns 1 · 10 % 23.3 points under target"
    text = text_of(html)
    assert "Returns has 0.17 of the records of Billing, the largest." in text
    assert "0.17 Critical." in text
    assert "Returns: generate about 3 more, it has 10.0 % of the records and should have 33.3 %." in text
    assert "No target is set: each topic should have 33.3 %." in text
    assert "returns needs about 3 more to reach its target." in text


def test_one_topic_is_no_perfect_balance(dataset_of: Any, client: Client) -> None:
    html = page_of(client, dataset_of({"billing": {}}, {"billing": 3}))
    text = text_of(html)
    assert "There is one topic, so there is nothing to balance." in text
    assert "Excellent" not in text
    assert line_of(html, "billing") == "billing 3 · 100 % on target"


def test_empty_topics_are_shown_and_missing(dataset_of: Any, client: Client) -> None:
    html = page_of(client, dataset_of(FLAT, {"billing": 5, "shipping": 5}))
    assert "Returns has no records at all." in text_of(html)
    assert line_of(html, "returns") == "returns 0 · 0 % 33.3 points under target"
    assert "Returns: generate about 4 more" in text_of(html)


def test_all_unknown_and_all_unsorted(dataset_of: Any, client: Client) -> None:
    dataset = dataset_of(FLAT, {"unknown": 3})
    text = text_of(page_of(client, dataset))
    assert "No record is in a topic yet." in text
    assert "unknown 3 · 100 % of all valid" in text
    assert "3 records fit no topic." in text
    dataset.records.update(topic=None, method="")
    text = text_of(page_of(client, dataset))
    assert "not sorted yet 3 · 100 % of all valid" in text
    assert "3 valid records are in no topic yet, so coverage does not count them." in text
    assert f'action="/datasets/{dataset.pk}/run/categorize/"' in page_of(client, dataset)
    dataset.records.all().delete()
    assert "No record is in a topic yet." in text_of(page_of(client, dataset))


def test_without_topics_the_page_says_what_to_do(dataset_of: Any, client: Client) -> None:
    html = page_of(client, dataset_of({}, {None: 2}))
    assert "There are no topics" in text_of(html)
    assert "data-targets" not in html


def test_nested_trees_are_grouped_with_subtotals(dataset_of: Any, client: Client) -> None:
    dataset = dataset_of(NESTED, {"billing": 2, "returns": 4, "shipping": 4})
    Dataset.objects.filter(pk=dataset.pk).update(topic_targets={"billing": 10})
    html = page_of(client, dataset)
    groups = [text_of(group) for group in re.findall(r'<div class="aim group".*?</div>', html)]
    assert groups == [" money 6 · 60 % of 55 % wanted "]
    depths = re.findall(r'<div class="aim[^"]*" data-depth="(\d)"><(?:b|label)[^>]*>(\w+)<', html)
    assert depths == [("0", "money"), ("1", "billing"), ("1", "returns"), ("0", "shipping")]


def test_targets_are_stored_explained_and_cleared_by_a_preset(dataset_of: Any, client: Client) -> None:
    dataset = dataset_of(FLAT, {"billing": 6, "shipping": 3, "returns": 1})
    url = f"/datasets/{dataset.pk}/targets/"
    answer = client.post(url, {"billing": "60,5", "shipping": "", "returns": ""})
    assert answer["Location"] == f"/datasets/{dataset.pk}/coverage/"
    dataset.refresh_from_db()
    assert dataset.topic_targets == {"billing": 60.5}
    html = page_of(client, dataset)
    assert "60.5 % is set. 2 topics have no target and share the rest, 19.8 % each." in text_of(html)
    assert re.search(r'name="billing"[^>]* value="60.5"', html)
    client.post(url, {"billing": "1", "preset": "now"})
    dataset.refresh_from_db()
    assert dataset.topic_targets == {"billing": 60, "shipping": 30, "returns": 10}
    assert "Every topic is set, 100 % together." in text_of(page_of(client, dataset))
    client.post(url, {"billing": "1", "preset": "even"})
    dataset.refresh_from_db()
    assert dataset.topic_targets == {}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("abc", "The target of billing must be a number from 0 to 100, not abc."),
        ("-1", "must be a number from 0 to 100, not -1"),
        ("nan", "must be a number from 0 to 100, not nan"),
        ("101", "must be a number from 0 to 100, not 101"),
        ("80", "The targets add up to 130 %; they may not exceed 100 %."),
    ],
)
def test_targets_that_cannot_be_are_said_and_stay_in_their_fields(
    dataset_of: Any, client: Client, typed: str, said: str
) -> None:
    dataset = dataset_of(FLAT, {"billing": 6, "shipping": 3})
    answer = client.post(f"/datasets/{dataset.pk}/targets/", {"billing": typed, "shipping": "50", "returns": ""})
    assert answer.status_code == 422
    html = answer.content.decode()
    assert said in text_of(html)
    assert re.search(rf'name="billing"[^>]* value="{typed}"', html)
    assert re.search(r'name="shipping"[^>]* value="50"', html)
    dataset.refresh_from_db()
    assert dataset.topic_targets == {}


# --- history ---------------------------------------------------------------------------------------------------------


def kept(dataset: Dataset) -> list[tuple[Any, ...]]:
    rows = dataset.coverage_moments.order_by("pk")
    return list(rows.values_list("sentence", "records", "unknown", "uncategorized"))


def test_a_row_is_kept_after_each_action_that_changes_coverage(workspace: Any, tmp_path: Path) -> None:
    dataset = small_dataset(workspace)  # imported and checked before there were topics
    assert [row[0] for row in kept(dataset)] == ["Records sorted into topics"]
    actions.start(dataset, actions.SANITIZE, {}, by=None)  # changes nothing
    drain()
    assert len(kept(dataset)) == 1
    import_file(dataset, write_lines(tmp_path / "more.jsonl", record("A question about nothing that anybody asked?")))
    sorted_before, unknown = kept(dataset)[0][1:3]
    assert kept(dataset)[1:] == [("Imported more.jsonl", sorted_before, unknown, 1)]
    first = dataset.topics.leaves()[0]
    inside = dataset.records.filter(topic=first).count()
    change = bulk.begin(dataset, plan_of(dataset, "delete", {"topic": first}), by=None)
    assert change is not None
    bulk.undo(change, by=None)
    drain()
    names = [row[0] for row in kept(dataset)]
    assert names[2:4] == ["Deleted", "Undone: Deleted"]
    rows = dict(zip(names, kept(dataset), strict=True))
    assert rows["Imported more.jsonl"][1] - rows["Deleted"][1] == inside
    assert rows["Undone: Deleted"][1:] == rows["Imported more.jsonl"][1:]


def test_only_so_many_rows_are_kept(dataset_of: Any, monkeypatch: Any) -> None:
    dataset = dataset_of(FLAT, {"billing": 5, "shipping": 5})
    monkeypatch.setattr(moments, "KEPT", 3)
    for number, pk in enumerate(dataset.records.values_list("pk", flat=True)[:6]):
        dataset.records.filter(pk=pk).update(topic="returns")
        moments.note(dataset.pk, f"Step {number}")
    assert [row[0] for row in kept(dataset)] == ["Step 3", "Step 4", "Step 5"]


def test_two_moments_stand_side_by_side(dataset_of: Any, client: Client) -> None:
    dataset = dataset_of(FLAT, {"billing": 6, "shipping": 3, "returns": 1})
    CoverageMoment.objects.all().delete()
    moments.note(dataset.pk, "First")
    dataset.records.filter(topic="shipping").update(topic="returns")
    moments.note(dataset.pk, "Second")
    tree = {"version": "1.0", "topics": {"billing": {}, "returns": {}, "other": {}}}
    Dataset.objects.filter(pk=dataset.pk).update(topic_hierarchy=tree)
    moments.note(dataset.pk, "Third")
    third, _, first = dataset.coverage_moments.all()
    html = page_of(client, dataset)
    text = text_of(html)
    assert "Before: Second, just now. After: Third, just now." in text
    assert "The balance went from 0.17 to 0.00 in 2 steps." in text
    swapped = page_of(client, dataset, f"?before={third.pk}&after={first.pk}")
    said = text_of(swapped)
    assert "10 records in topics before, 10 after. 1 topic did not move. Before: First, just now. After: Third" in said
    table = swapped[swapped.index(">Coverage before and after</caption>") :]
    rows = [text_of(row).strip() for row in re.findall(r'<tr role="row">(<th scope="row".*?)</tr>', table)[:3]]
    assert rows[2] == "shipping 3 30 % 0 % −30.0"  # there is no such topic any more
    assert sorted(rows[:2]) == ["other 0 % 0 0 % +0.0", "returns 1 10 % 4 40 % +30.0"]
    assert "Before: Second" in text_of(page_of(client, dataset, "?before=nonsense&after=99999999999999999999"))


def test_other_peoples_moments_are_not_compared(dataset_of: Any, client: Client, workspace: Any) -> None:
    other = small_dataset(workspace, "Other")
    dataset = dataset_of(FLAT, {"billing": 2})
    CoverageMoment.objects.filter(dataset=dataset).delete()
    moments.note(dataset.pk, "Mine")
    theirs = other.coverage_moments.get()
    html = page_of(client, dataset, f"?before={theirs.pk}&after={dataset.coverage_moments.get().pk}")
    assert "Before and after" not in html


def test_the_page_costs_as_many_queries_for_many_topics_and_reads_counters_only(
    dataset_of: Any, client: Client
) -> None:
    dataset = dataset_of(FLAT, {"billing": 6, "shipping": 3})
    page_of(client, dataset)
    with CaptureQueriesContext(connection) as few:
        page_of(client, dataset)
    tree = {"version": "1.0", "topics": {f"topic_{n}": {} for n in range(200)}}
    Dataset.objects.filter(pk=dataset.pk).update(topic_hierarchy=tree)
    with CaptureQueriesContext(connection) as many:
        page_of(client, dataset)
    assert len(many) == len(few) <= 10
    assert not any('datasets_app_datasetrecord"' in query["sql"] for query in many)

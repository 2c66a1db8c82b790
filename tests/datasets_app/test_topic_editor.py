"""The editor of the tree over its addresses: every edit, what happens to the records, undo, two people, bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from datasets_app import editing, topic_commands
from datasets_app.core.topic_templates import TEMPLATES
from datasets_app.core.topics import parse_tree
from datasets_app.models import Dataset
from rft_project.jobs.models import Job
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db

TREE = {
    "topics": {
        "billing": {"subtopics": ["refunds", "invoices"]},
        "refunds": {"description": "Money back.", "keywords": ["refund"]},
        "invoices": {"keywords": ["invoice"]},
        "delivery": {"description": "Parcels.", "keywords": ["parcel", "courier"]},
        "advice": {"keywords": ["recommend"]},
    }
}
TEXTS = {
    "refunds": ["I want a refund for the lamp", "When does my refund arrive?", "The refund is missing 3 euros"],
    "invoices": ["Please send the invoice again", "The invoice has a wrong name"],
    "delivery": ["Where is my parcel?", "The courier left the parcel in the rain", "My parcel came open"],
    "unknown": ["What is the meaning of life?"],
}


@pytest.fixture
def dataset(workspace: Any, tmp_path: Path) -> Dataset:
    """Nine valid records, sorted as a run would have sorted them; topic "advice" is empty."""
    dataset = make_dataset(workspace)
    rows = [(topic, text) for topic, texts in TEXTS.items() for text in texts]
    import_file(dataset, write_lines(tmp_path / "t", *(record(text) for _, text in rows)))
    topic_commands.replace_tree(dataset, parse_tree(TREE), "A tree.")
    for at, (row, (topic, _)) in enumerate(zip(dataset.records.order_by("pk"), rows, strict=True)):
        dataset.records.filter(pk=row.pk).update(
            verdict="valid", topic=topic, confidence=0.9 - at / 20, method="embedding", needs_review=at == 7
        )
    return dataset


@pytest.fixture
def client(owner: Any, client_of: Any) -> Client:
    return client_of(owner)


def edit(client: Client, dataset: Dataset, *, htmx: bool = False, **values: Any) -> Any:
    headers = {"HX-Request": "true"} if htmx else {}
    answer = client.post(reverse("datasets:edit_topics", args=[dataset.pk]), values, headers=headers)
    dataset.refresh_from_db()
    return answer


def said(client: Client, answer: Any) -> str:
    """The last sentence of the toasts on the page that follows."""
    page = client.get(answer["Location"]).content.decode().replace("\u00a0", " ")
    return re.findall(r'data-toast="([^"]*)"', page)[-1]


def topics_of(dataset: Dataset) -> dict[str, str | None]:
    return dict(dataset.records.values_list("preview", "topic"))


# ---------------------------------------------------------------- the page


def test_the_tree_shows_counts_shares_and_what_is_wrong_in_words(dataset: Dataset, client: Client) -> None:
    html = client.get(reverse("datasets:topics", args=[dataset.pk])).content.decode()
    lines = re.findall(r'<li class="node[^>]*data-topic="(\w+)" data-parent="(\w*)">(.*?)</li>', html)
    shown = {name: re.sub(r"<[^>]+>", " ", rest).split() for name, _, rest in lines}
    assert [(name, parent) for name, parent, _ in lines] == [
        ("billing", ""), ("refunds", "billing"), ("invoices", "billing"), ("delivery", ""), ("advice", ""),
    ]  # fmt: skip
    assert shown == {
        "billing": ["Billing", "5", "62.5", "%"],
        "refunds": ["Refunds", "3", "37.5", "%", "too", "few"],
        "invoices": ["Invoices", "2", "25", "%", "too", "few"],
        "delivery": ["Delivery", "3", "37.5", "%", "too", "few"],
        "advice": ["Advice", "0", "0", "%", "empty"],
    }


def test_a_topic_shows_its_surest_and_least_sure_records(workspace: Any, client: Client, tmp_path: Path) -> None:
    dataset = make_dataset(workspace)
    import_file(dataset, write_lines(tmp_path / "t", *(record(f"Question number {n} of twelve") for n in range(12))))
    topic_commands.replace_tree(dataset, parse_tree({"topics": {"all": {}}}), "A tree.")
    for n, row in enumerate(dataset.records.order_by("pk")):
        dataset.records.filter(pk=row.pk).update(verdict="valid", topic="all", confidence=n / 12, method="embedding")
    panel = client.get(reverse("datasets:topic", args=[dataset.pk, "all"])).context["panel"].topic
    assert [one.said.split()[2] for one in panel.typical] == ["11", "10", "9", "8", "7"]
    assert [one.said.split()[2] for one in panel.unsure] == ["0", "1", "2", "3", "4"]
    assert [one.sure for one in panel.typical] == ["0.92", "0.83", "0.75", "0.67", "0.58"]


def test_a_topic_with_subtopics_shows_records_of_each(dataset: Dataset, client: Client) -> None:
    panel = client.get(reverse("datasets:topic", args=[dataset.pk, "billing"])).context["panel"].topic
    assert [(one.topic, str(one.said)) for one in panel.typical] == [
        ("Refunds", "I want a refund for the lamp"),
        ("Invoices", "Please send the invoice again"),
    ]
    assert [(name, count) for name, _, count in panel.below] == [("refunds", 3), ("invoices", 2)]


def test_doubtful_records_are_counted(dataset: Dataset, client: Client) -> None:
    panel = client.get(reverse("datasets:topic", args=[dataset.pk, "delivery"])).context["panel"].topic
    assert (panel.count, panel.doubtful, panel.word) == (3, 1, "too few")


def test_within_the_page_a_topic_is_only_its_part(dataset: Dataset, client: Client) -> None:
    page = reverse("datasets:topic", args=[dataset.pk, "delivery"])
    part = client.get(page, headers={"HX-Request": "true"}).content.decode()
    assert part.strip().startswith('<section class="card" id="topic"')
    assert client.get(reverse("datasets:topic", args=[dataset.pk, "nothing"])).status_code == 404


def test_records_that_fit_no_topic_have_a_page(dataset: Dataset, client: Client) -> None:
    panel = client.get(reverse("datasets:topic", args=[dataset.pk, "unknown"])).context["panel"].topic
    assert (panel.count, [str(one.said) for one in panel.typical]) == (1, TEXTS["unknown"])


def test_the_page_costs_the_same_for_every_tree(
    dataset: Dataset, client: Client, django_assert_max_num_queries: Any
) -> None:
    page = reverse("datasets:topic", args=[dataset.pk, "billing"])
    client.get(page)
    # who asks (2) and may they (1), counts (1), what was found (1), doubtful ones (1), edits (1), last runs (1), what
    # is at work (1), proposals (1), records (1), the helper model (2), the badge of running jobs (1)
    with django_assert_max_num_queries(14):
        client.get(page)


# ---------------------------------------------------------------- edits


def test_add_shows_the_new_topic(dataset: Dataset, client: Client) -> None:
    answer = edit(client, dataset, edit="add", new_name="Gift cards!", parent="billing", keywords="voucher, gift card")
    assert answer["Location"] == reverse("datasets:topic", args=[dataset.pk, "gift_cards"])
    assert said(client, answer) == "Added Gift cards."
    assert dataset.topics.level("billing") == ["refunds", "invoices", "gift_cards"]
    assert dataset.topics.topics["gift_cards"].keywords == ["voucher", "gift card"]
    assert Job.objects.filter(kind="resort").count() == 1


def test_a_topic_that_gets_its_first_subtopic_says_what_happens_to_its_records(
    dataset: Dataset, client: Client
) -> None:
    answer = edit(client, dataset, edit="add", new_name="lost parcels", parent="delivery")
    assert said(client, answer) == "Added Lost parcels. 3 records are sorted again."
    assert dataset.records.filter(topic=None).count() == 3


def test_rename_describe_and_keywords_in_one_form(dataset: Dataset, client: Client) -> None:
    before = Job.objects.count()
    answer = edit(
        client, dataset, edit="change", name="delivery", new_name="Parcels", description="Parcels.",
        keywords="parcel, courier",
    )  # fmt: skip
    assert said(client, answer) == "Renamed Delivery to Parcels."
    assert dataset.topics.roots() == ["billing", "parcels", "advice"]
    assert dataset.records.filter(topic="parcels").count() == 3
    assert Job.objects.count() == before  # nothing had to be sorted again
    edit(client, dataset, edit="undo")
    assert dataset.records.filter(topic="delivery", method="embedding").count() == 3
    assert Job.objects.count() == before


def test_new_keywords_are_used_for_sorting(dataset: Dataset, client: Client) -> None:
    answer = edit(client, dataset, edit="change", name="advice", new_name="advice", keywords="meaning of life")
    assert said(client, answer) == "Changed what belongs to Advice."
    assert dataset.topics.topics["advice"].keywords == ["meaning of life"]
    assert Job.objects.filter(kind="resort").count() == 1


def test_saving_what_is_there_changes_nothing(dataset: Dataset, client: Client) -> None:
    edits = dataset.topic_edits.count()
    edit(
        client, dataset, edit="change", name="delivery", new_name="Delivery", description="Parcels.",
        keywords="parcel, courier",
    )  # fmt: skip
    assert (dataset.topic_edits.count(), Job.objects.filter(kind="resort").count()) == (edits, 0)


def test_ticked_topics_are_merged_under_a_new_name(dataset: Dataset, client: Client) -> None:
    answer = edit(client, dataset, edit="merge", names=["refunds", "delivery"], into="Money and parcels")
    assert answer["Location"].endswith("/topics/money_and_parcels/")
    assert dataset.topics.topics["money_and_parcels"].keywords == ["refund", "parcel", "courier"]
    assert dataset.records.filter(topic="money_and_parcels").count() == 6
    assert Job.objects.filter(kind="resort").count() == 0


def test_one_ticked_topic_is_not_enough(dataset: Dataset, client: Client) -> None:
    answer = edit(client, dataset, edit="merge", names=["refunds"], into="Refunds")
    assert answer.status_code == 422
    assert "Tick at least two topics to merge." in answer.content.decode()


def test_a_deleted_topic_hands_its_records_on(dataset: Dataset, client: Client) -> None:
    answer = edit(client, dataset, edit="delete", name="invoices", into="refunds")
    assert said(client, answer) == "Deleted Invoices. 2 records went to Refunds."
    assert dataset.records.filter(topic="refunds").count() == 5


def test_a_deleted_topic_has_its_records_sorted_again(dataset: Dataset, client: Client) -> None:
    answer = edit(client, dataset, edit="delete", name="delivery")
    assert said(client, answer) == "Deleted Delivery. 3 records are sorted again."
    drain()
    assert dataset.records.filter(topic=None).count() == 0


@pytest.mark.parametrize(
    ("subtopics", "roots", "refunds"),
    [("keep", ["advice", "delivery", "invoices", "refunds"], 3), ("", ["advice", "delivery"], 0)],
)
def test_a_group_goes_with_or_without_its_subtopics(
    dataset: Dataset, client: Client, subtopics: str, roots: list[str], refunds: int
) -> None:
    edit(client, dataset, edit="delete", name="billing", subtopics=subtopics)
    assert sorted(dataset.topics.roots()) == roots
    assert dataset.records.filter(topic="refunds").count() == refunds


def test_a_drop_places_a_topic_among_others(dataset: Dataset, client: Client) -> None:
    """What the pointer sends: the parent, and the topic in front of which it was dropped."""
    answer = edit(client, dataset, edit="place", name="delivery", parent="billing", before="invoices")
    assert said(client, answer) == "Moved Delivery under Billing."
    assert dataset.topics.level("billing") == ["refunds", "delivery", "invoices"]
    assert dataset.records.filter(topic="delivery").count() == 3
    edit(client, dataset, edit="place", name="advice", parent="", before="billing")
    assert dataset.topics.roots() == ["advice", "billing"]
    assert Job.objects.filter(kind="resort").count() == 0


def test_the_order_stays_and_comes_back(dataset: Dataset, client: Client) -> None:
    """PostgreSQL keeps no order of keys."""
    edit(client, dataset, edit="shift", name="advice", way="up")
    edit(client, dataset, edit="shift", name="advice", way="up")
    assert Dataset.objects.get(pk=dataset.pk).topics.roots() == ["advice", "billing", "delivery"]
    edit(client, dataset, edit="undo")
    assert Dataset.objects.get(pk=dataset.pk).topics.roots() == ["billing", "advice", "delivery"]


def test_a_key_moves_a_topic_in_and_out(dataset: Dataset, client: Client) -> None:
    edit(client, dataset, edit="shift", name="advice", way="in")
    assert dataset.topics.topics["advice"].parent_topic == "delivery"
    assert dataset.records.filter(topic=None).count() == 3
    edit(client, dataset, edit="shift", name="advice", way="out")
    assert dataset.topics.roots() == ["billing", "delivery", "advice"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"edit": "add", "new_name": "Delivery"}, 'There is already a topic "delivery": choose another name.'),
        (
            {"edit": "add", "new_name": "Unknown"},
            'The name "unknown" is kept for records that fit no topic: choose another.',
        ),
        ({"edit": "add", "new_name": "…"}, "A topic needs a name with letters or digits in it."),
        ({"edit": "add", "new_name": "x", "parent": "gone"}, 'There is no topic "gone" in this tree.'),
        (
            {"edit": "change", "name": "delivery", "new_name": "Refunds"},
            'There is already a topic "refunds": choose another name.',
        ),
        (
            {"edit": "place", "name": "billing", "parent": "refunds"},
            '"billing" cannot go under "refunds", which is inside it.',
        ),
        ({"edit": "shift", "name": "billing", "way": "up"}, "Billing is the first of its level already."),
        ({"edit": "shift", "name": "billing"}, "Say which way the topic goes: up, down, in or out."),
        ({"edit": "delete", "name": "gone"}, 'There is no topic "gone" in this tree.'),
        (
            {"edit": "delete", "name": "delivery", "into": "billing"},
            'Records cannot go to "billing": choose a topic without subtopics that stays.',
        ),
        ({"edit": "explode"}, "This edit of the topics cannot be read; try again from this page."),
    ],
)
@pytest.mark.parametrize("htmx", [False, True])
def test_what_cannot_be_is_refused_in_one_sentence(
    dataset: Dataset, client: Client, values: dict[str, str], sentence: str, htmx: bool
) -> None:
    before = (dataset.topic_hierarchy, topics_of(dataset))
    answer = edit(client, dataset, htmx=htmx, **values)
    assert answer.status_code == 422
    assert answer.context["panel"].error == sentence
    assert (dataset.topic_hierarchy, topics_of(dataset)) == before


def test_what_was_typed_stays_in_the_form_that_was_refused(dataset: Dataset, client: Client) -> None:
    answer = edit(
        client, dataset, edit="change", name="delivery", new_name="Refunds", description="Of mine", keywords="a"
    )
    assert answer.context["panel"].topic.name == "delivery"
    assert answer.context["panel"].topic.values == {"new_name": "Refunds", "description": "Of mine", "keywords": "a"}


def test_within_the_page_an_edit_answers_with_the_region_and_the_address(dataset: Dataset, client: Client) -> None:
    answer = edit(client, dataset, htmx=True, edit="change", name="delivery", new_name="Parcels")
    assert answer["HX-Replace-Url"] == reverse("datasets:topic", args=[dataset.pk, "parcels"])
    assert json.loads(answer["HX-Trigger"]) == {"toast": "Renamed Delivery to Parcels."}
    assert '<div id="topics" class="region">' in answer.content.decode()


# ---------------------------------------------------------------- undo, people


def test_every_edit_is_undone_with_its_sentence(dataset: Dataset, client: Client) -> None:
    before, records = dataset.topic_hierarchy, topics_of(dataset)
    for values in (
        {"edit": "place", "name": "advice", "parent": "billing"},
        {"edit": "change", "name": "delivery", "new_name": "Parcels", "keywords": "parcel"},
        {"edit": "shift", "name": "parcels", "way": "up"},
    ):
        assert edit(client, dataset, **values).status_code == 302
    shown = client.get(reverse("datasets:topics", args=[dataset.pk])).context["panel"].edits
    sentences = [one.sentence for one in shown]
    assert sentences[:3] == [
        "Moved Parcels in front of Billing.",
        "Renamed Delivery to Parcels.",
        "Moved Advice under Billing.",
    ]
    assert [str(one.by) for one in shown[:3]] == ["owner"] * 3
    for sentence in sentences[:3]:
        assert said(client, edit(client, dataset, edit="undo")) == f"Undone: {sentence}"
    assert (dataset.topic_hierarchy, topics_of(dataset)) == (before, records)


def test_what_people_decided_survives_an_edit_and_its_undo(dataset: Dataset, client: Client, owner: Any) -> None:
    row = dataset.records.get(preview="What is the meaning of life?")
    editing.set_topic(row, "delivery", by=owner)
    edit(client, dataset, edit="merge", names=["refunds", "delivery"], into="both")
    row.refresh_from_db()
    assert (row.topic, row.method) == ("both", "manual")
    edit(client, dataset, edit="undo")
    row.refresh_from_db()
    assert (row.topic, row.method, row.confidence) == ("delivery", "manual", 1.0)


def test_there_is_an_end_to_undoing(dataset: Dataset, client: Client) -> None:
    dataset.topic_edits.all().delete()
    assert edit(client, dataset, edit="undo").context["panel"].error == "There is nothing to undo."


def test_the_last_twenty_edits_can_be_undone(dataset: Dataset, client: Client) -> None:
    for at in range(11):
        for way in ("up", "down"):
            edit(client, dataset, edit="shift", name="delivery", way=way)
        assert dataset.topic_edits.count() == min(1 + 2 * (at + 1), 20)


def test_of_two_people_the_second_is_told(dataset: Dataset, client: Client, colleague: Any, client_of: Any) -> None:
    seen = client.get(reverse("datasets:topics", args=[dataset.pk])).context["panel"].seen
    theirs = client_of(colleague)
    edit(theirs, dataset, edit="change", name="delivery", new_name="Parcels", seen=seen)
    answer = edit(client, dataset, edit="delete", name="advice", seen=seen)
    assert answer.status_code == 422
    assert answer.context["panel"].error.startswith("Somebody else changed the topics meanwhile;")
    assert dataset.topics.roots() == ["billing", "parcels", "advice"]
    now = answer.context["panel"].seen
    assert edit(client, dataset, edit="delete", name="advice", seen=now).status_code == 302


@pytest.mark.parametrize("person", ["owner", "colleague", "stranger"])
def test_who_may_edit(request: Any, dataset: Dataset, client_of: Any, person: str) -> None:
    theirs = client_of(request.getfixturevalue(person))
    answer = edit(theirs, dataset, edit="add", new_name="mine")
    allowed = person != "stranger"
    assert (answer.status_code, "mine" in dataset.topics.topics) == ((302, True) if allowed else (404, False))


# ---------------------------------------------------------------- templates, files


@pytest.mark.parametrize("key", list(TEMPLATES))
def test_a_template_is_looked_at_before_it_is_taken(dataset: Dataset, client: Client, key: str) -> None:
    before = dataset.topic_hierarchy
    shown = client.get(reverse("datasets:topic_sources", args=[dataset.pk]), {"template": key})
    dataset.refresh_from_db()
    preview = shown.context["panel"].preview
    assert dataset.topic_hierarchy == before
    assert (preview.template, len(preview.leaves)) == (key, len(TEMPLATES[key].tree.leaves()))
    assert dict(preview.stay + preview.go) == {"Refunds": 3, "Invoices": 2, "Delivery": 3, "Advice": 0}


def test_a_template_replaces_the_tree_and_can_be_undone(dataset: Dataset, client: Client) -> None:
    before = dataset.topic_hierarchy
    client.post(reverse("datasets:replace_topics", args=[dataset.pk]), {"template": "finance"})
    dataset.refresh_from_db()
    assert dataset.topics == TEMPLATES["finance"].tree
    assert dataset.topics.roots() == TEMPLATES["finance"].tree.roots()
    drain()
    assert dataset.records.filter(topic=None).count() == 0
    answer = edit(client, dataset, edit="undo")
    assert said(client, answer) == "Undone: The template “Finance” replaced the topics."
    assert dataset.topic_hierarchy == before


def test_what_is_exported_is_imported_again(dataset: Dataset, client: Client, workspace: Any) -> None:
    answer = client.get(reverse("datasets:export_topics", args=[dataset.pk]))
    assert answer["Content-Disposition"] == f'attachment; filename="topics-{dataset.pk}.json"'
    assert json.loads(answer.content) == dataset.topics.to_json()
    other = make_dataset(workspace, "Other")
    file = SimpleUploadedFile("tree.json", answer.content)
    looked = client.post(reverse("datasets:topic_sources", args=[other.pk]), {"file": file})
    other.refresh_from_db()
    assert (looked.status_code, other.topic_hierarchy) == (200, {})
    preview = looked.context["panel"].preview
    assert (preview.source, len(preview.leaves)) == ("The file tree.json", 4)
    client.post(reverse("datasets:replace_topics", args=[other.pk]), {"pasted": preview.text, "seen": preview.seen})
    other.refresh_from_db()
    assert other.topics == dataset.topics
    assert other.topics.roots() == ["billing", "delivery", "advice"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "The topics are not valid JSON: export a tree to see the form."),
        ("[]", 'The topics must be an object of the form {"version": "1.0", "topics": {name: {…}}}.'),
        ('{"topics": {}}', "There is no topic in this tree."),
        ("", "Choose a file or paste a tree."),
        (
            '{"topics": {"Card Arrival": {}}}',
            'The topic name "Card Arrival" is not in snake_case: write "card_arrival".',
        ),
        ('{"topics": {"a": {"keywords": "x"}}}', '"subtopics" and "keywords" of "a" must be lists.'),
        (
            '{"topics": {"a": {"subtopics": ["b"]}, "c": {"subtopics": ["b"]}}}',
            '"b" is under both "a" and "c": keep it under one.',
        ),
        (
            '{"topics": {"a": {"subtopics": ["b"]}, "b": {"subtopics": ["a"]}}}',
            '"a" is inside itself: take it out of its own subtopics.',
        ),
        ('{"topics": {"a": {"parent_topic": "z"}}}', '"a" is under "z", which is not in the tree.'),
        ('{"topics": {"a": {"colour": 1}}}', 'The topic "a" has a key "colour" that is not known: remove it.'),
    ],
)
def test_a_file_that_is_no_tree_says_what_is_wrong_with_it(
    dataset: Dataset, client: Client, text: str, sentence: str
) -> None:
    before = dataset.topic_hierarchy
    answer = client.post(reverse("datasets:topic_sources", args=[dataset.pk]), {"pasted": text})
    assert answer.status_code == 422
    assert answer.context["panel"].form.non_field_errors() == [sentence]
    client.post(reverse("datasets:replace_topics", args=[dataset.pk]), {"pasted": text})
    dataset.refresh_from_db()
    assert dataset.topic_hierarchy == before


def test_a_preview_of_topics_that_have_changed_is_not_taken(dataset: Dataset, client: Client) -> None:
    looked = client.get(reverse("datasets:topic_sources", args=[dataset.pk]), {"template": "legal"})
    edit(client, dataset, edit="shift", name="delivery", way="up")
    given = {"template": "legal", "seen": looked.context["panel"].preview.seen}
    answer = client.post(reverse("datasets:replace_topics", args=[dataset.pk]), given)
    assert said(client, answer).startswith("Somebody else changed the topics meanwhile;")
    dataset.refresh_from_db()
    assert dataset.topics.roots() == ["delivery", "billing", "advice"]


@pytest.mark.parametrize("clusters", ["1", "151", "x"])
def test_a_number_of_topics_that_cannot_be_starts_nothing(dataset: Dataset, client: Client, clusters: str) -> None:
    answer = client.post(reverse("datasets:run_topics", args=[dataset.pk]), {"clusters": clusters})
    assert said(client, answer).startswith("The number of topics: ")
    assert Job.objects.filter(kind="topics").count() == 0


# ---------------------------------------------------------------- the command


def test_the_command_takes_templates_files_and_numbers(dataset: Dataset, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    call_command("build_topics", "Tickets", "--template", "legal", "--report", str(report))
    dataset.refresh_from_db()
    assert dataset.topics == TEMPLATES["legal"].tree
    assert json.loads(report.read_text())["topics"] == TEMPLATES["legal"].tree.leaves()
    file = tmp_path / "tree.json"
    file.write_text(json.dumps(TREE))
    call_command("build_topics", "Tickets", "--topics", str(file))
    dataset.refresh_from_db()
    assert dataset.topics.roots() == ["billing", "delivery", "advice"]
    drain()
    assert dataset.records.filter(topic=None).count() == 0
    call_command("build_topics", "Tickets", "--clusters", "2")
    dataset.refresh_from_db()
    assert len(dataset.topics.leaves()) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [(None, r"tree.json cannot be read: No such file or directory\.$"), ('{"topics": {"A": {}}}', 'write "a"')],
)
def test_the_command_says_what_is_wrong_with_a_file(
    dataset: Dataset, tmp_path: Path, text: str | None, sentence: str
) -> None:
    file = tmp_path / "tree.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(CommandError, match=sentence):
        call_command("build_topics", "Tickets", "--topics", str(file))

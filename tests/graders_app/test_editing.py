"""Graders changed in the form that made them, duplicated, taken along and compared with their version before."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from graders_app.comparing import ChangedLine, changed_lines
from graders_app.dimensions import Dimensions
from graders_app.kinds import KINDS
from graders_app.models import Grader
from graders_app.reading import read_kind
from graders_app.services import save_grader
from tests.graders_app.conftest import EXACT, JUDGE, MULTI, PYTHON
from tests.graders_app.test_dimensions import NEW, TWO

pytestmark = pytest.mark.django_db
VALUES = {
    "label_partial_credit": {"labels": 'a\nit\'s "b"'},
    "format_compliance": {"fields_wanted": "intent\nreply"},
    "conciseness": {"target_chars": "120"},
    "numeric_answer": {"tolerance": "0.01"},
    "json_schema": {"schema": '{\n  "type": "object"\n}'},
    "string_check": {"input": "{{sample.output_text}}", "reference": "x", "operation": "like"},
    "text_similarity": {"input": "{{sample.output_text}}", "reference": "x", "evaluation_metric": "bleu"},
    "judge": {"criterion": "It is polite.\n\nIt thanks.", "compare": "question", "scale": "1-10"},
    "python": {"source": "def grade(sample, item):\n    return 1.0\n"},
}
SETTINGS = [(slug, VALUES.get(slug, {})) for slug in KINDS if slug != "json"]


@pytest.fixture
def client(owner, client_of):
    return client_of(owner)


@pytest.fixture
def two(client) -> Grader:
    client.post(NEW, TWO)
    return Grader.objects.get()


@pytest.mark.parametrize(("slug", "values"), SETTINGS)
def test_what_a_form_makes_is_read_back_into_it(slug, values):
    form = KINDS[slug].form({"name": "Mine", **values})
    assert form.is_valid(), form.errors
    reading = read_kind({**form.document(), "name": "Mine"})
    assert (reading.kind.slug, reading.values) == (slug, values)


@pytest.mark.parametrize("config", [JUDGE, {**MULTI, "calculate_output": "exact"}, {**EXACT, "pass_threshold": 0.5}])
def test_what_no_form_makes_is_left_to_its_document(config):
    assert (read_kind(config), Dimensions.of(config)) == (None, None)


def test_dimensions_are_changed_in_their_form(client, two):
    address = f"/graders/{two.pk}/edit/"
    edit = client.get(address).context["edit"]
    shown = [(row.title, row.kind.slug, row.weight) for row in edit.dimensions.rows]
    assert shown == [("Right", "label_partial_credit", 75), ("Short", "conciseness", 25)]
    assert edit.dimensions.rows[0].settings["labels"].value() == "a\nb"
    added = client.post(address, {**TWO, "seen": "1", "do": "add"}).context["edit"]
    assert (len(added.dimensions.rows), added.seen["seen"].value(), Grader.objects.count()) == (3, "1", 1)
    client.post(address, {**TWO, "seen": "1", "d1-target_chars": "50"})
    second = Grader.objects.get(version=2)
    assert "TARGET_CHARS = 50" in second.config["graders"]["short_brevity"]["source"]
    assert (second.name, second.config["name"]) == (two.name, two.config["name"])


def test_a_grader_of_one_dimension_is_changed_in_its_form_and_stays_of_its_preset(client):
    client.post("/graders/new/label_partial_credit/", {"name": "Label", "labels": "a\nb"})
    first = Grader.objects.get()
    answer = client.post(f"/graders/{first.pk}/edit/", {"seen": "1", "labels": "a\r\nb\r\nc"})
    second = Grader.objects.get(version=2)
    assert answer["Location"] == second.get_absolute_url()
    assert (second.preset, "LABELS = ['a', 'b', 'c']" in second.config["source"]) == ("label_partial_credit", True)


def test_somebody_elses_change_is_not_undone(client, two):
    save_grader(two.workspace, two.name, EXACT, by=None)
    answer = client.post(f"/graders/{two.pk}/edit/", {**TWO, "seen": "1", "d1-target_chars": "50"})
    assert (answer.status_code, Grader.objects.count()) == (422, 2)
    assert "version 2 was saved meanwhile" in answer.content.decode()


def test_a_grader_written_by_hand_leads_back_to_its_document(client, python):
    assert client.get(f"/graders/{python.pk}/edit/")["Location"] == python.get_absolute_url()
    assert not client.get(python.get_absolute_url()).context["panel"].in_form


def test_a_copy_has_a_name_of_its_own(client, exact, owner):
    answer = client.post(f"/graders/{exact.pk}/duplicate/", {"name": "Mine"})
    copy = Grader.objects.get(name="Mine")
    assert answer["Location"] == copy.get_absolute_url()
    assert (copy.config, copy.version, copy.preset, copy.created_by_id) == (EXACT, 1, "exact_label", owner.pk)
    taken = client.post(f"/graders/{exact.pk}/duplicate/", {"name": "Mine"})
    assert (taken.status_code, Grader.objects.count()) == (422, 2)
    assert "a grader of this name is there already" in taken.content.decode()


def test_an_exported_grader_is_imported_as_it_was(client, multi):
    answer = client.get(f"/graders/{multi.pk}/export/")
    assert answer["Content-Disposition"] == 'attachment; filename="both-v1.json"'
    assert json.loads(answer.content) == MULTI
    file = SimpleUploadedFile("grader.json", b"\xef\xbb\xbf" + answer.content)
    client.post("/graders/new/json/", {"name": "Again", "config": "not looked at", "file": file})
    assert Grader.objects.get(name="Again").config == MULTI


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xff\xfe{}", "file: this file is no text in UTF-8."),
        (b"[1]", "file: write a JSON object, in braces."),
        (b"x" * 1_000_001, "file: this file is larger than 1 MB, which no grader needs."),
    ],
)
def test_a_file_that_is_no_grader_is_refused_in_a_sentence(client, content, sentence):
    sent = {"name": "Again", "config": "", "file": SimpleUploadedFile("grader.json", content)}
    assert client.post("/graders/new/json/", sent).context["form"].errors == {"file": [sentence]}


def test_nothing_pasted_and_no_file_is_said(client):
    form = client.post("/graders/new/json/", {"name": "Again", "config": ""}).context["form"]
    assert list(form.errors) == ["config"]


def test_a_version_shows_the_lines_it_changed(client, python, owner):
    changed = {**PYTHON, "source": PYTHON["source"].replace("words = item", "wanted = item")}
    second = save_grader(python.workspace, python.name, changed, by=owner)
    panel = client.get(second.get_absolute_url()).context["panel"]
    assert panel.before == python
    assert [(line.state, line.text) for line in panel.changes if line.state in {"gone", "new"}] == [
        ("gone", '    words = item[\\"wanted\\"]'),
        ("new", '    wanted = item[\\"wanted\\"]'),
    ]
    assert client.get(python.get_absolute_url()).context["panel"].before is None


def test_what_did_not_change_is_left_out_and_what_is_too_long_is_not_compared():
    assert changed_lines(EXACT, EXACT) == []
    ends = changed_lines({"a": 1, **{str(n): 0 for n in range(9)}}, {"a": 2, **{str(n): 0 for n in range(9)}})
    assert ends[1:3] == [ChangedLine("gone", '  "a": 1,'), ChangedLine("new", '  "a": 2,')]
    assert (ends[0], ends[-1]) == (ChangedLine("same", "{"), ChangedLine("gap", ""))
    assert changed_lines(EXACT, {"source": "\n" * 5_000}) is None

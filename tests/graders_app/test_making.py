"""New graders, from a preset, a form or JSON, and their versions."""

from __future__ import annotations

import json

import pytest

from graders_app.core.errors import GraderError
from graders_app.models import Grader
from graders_app.services import create_grader, next_version, save_grader
from tests.graders_app.conftest import EXACT, MULTI, PYTHON

pytestmark = pytest.mark.django_db

TEMPLATES = {"input": "{{sample.output_text}}", "reference": "{{item.reference_answer}}"}


@pytest.fixture
def client(owner, client_of):
    return client_of(owner)


def make(client, kind, **values):
    return client.post(f"/graders/new/{kind}/", {"name": "Mine", **values})


@pytest.mark.parametrize(
    ("kind", "values", "config"),
    [
        ("string_check", {**TEMPLATES, "operation": "like"}, {"type": "string_check", "operation": "like"}),
        (
            "text_similarity",
            {**TEMPLATES, "evaluation_metric": "rouge_l"},
            {"type": "text_similarity", "evaluation_metric": "rouge_l"},
        ),
    ],
)
def test_a_form_makes_the_document(client, owner, workspace, kind, values, config):
    answer = make(client, kind, **values)
    grader = Grader.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/graders/{grader.pk}/")
    assert grader.config == {**config, "name": "Mine", **TEMPLATES}
    assert (grader.version, grader.preset, grader.workspace, grader.created_by_id) == (1, "", workspace, owner.pk)


def test_python_gets_the_line_ends_of_a_file(client):
    make(client, "python", source="def grade(sample, item):\r\n    return 1.0\r\n")
    assert Grader.objects.get().config["source"] == "def grade(sample, item):\n    return 1.0\n"


def test_pasted_json_of_any_type(client):
    assert make(client, "json", config=json.dumps(MULTI)).status_code == 302
    assert Grader.objects.get().config == MULTI


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("exact_label", {}),
        ("label_partial_credit", {"labels": "billing\r\n\r\nshipping\r\nbilling"}),
        ("format_compliance", {"fields_wanted": "intent\nreply"}),
        ("conciseness", {"target_chars": "120"}),
        ("numeric_answer", {"tolerance": "0.01"}),
        ("similarity", {}),
    ],
)
def test_each_preset_makes_a_grader_that_scores_its_own_example_well(client, kind, values):
    assert make(client, kind, **values).status_code == 302
    grader = Grader.objects.get()
    assert grader.preset == kind
    form = client.get(grader.get_absolute_url()).context["panel"].try_form
    answer = client.post(f"/graders/{grader.pk}/try/", form.initial, headers={"HX-Request": "true"})
    assert answer.context["panel"].trial.result.reward == 1.0


def test_what_a_preset_needs_is_in_the_document(client):
    make(client, "label_partial_credit", labels="billing\r\n\r\nshipping\r\nbilling")
    assert "LABELS = ['billing', 'shipping']" in Grader.objects.get().config["source"]
    make(client, "json_schema", name="Schema", schema='{"type": "object", "additionalProperties": false}')
    assert (
        "SCHEMA = {'type': 'object', 'additionalProperties': False}"
        in Grader.objects.get(name="Schema").config["source"]
    )


@pytest.mark.parametrize(
    ("kind", "values", "field", "sentence"),
    [
        ("json", {"config": '{"a": 1,}'}, "config", "config: this is not JSON: Expecting property name"),
        ("json", {"config": "[1]"}, "config", "config: write a JSON object, in braces."),
        ("json", {"config": '{"type": "multi", "name": NaN}'}, "config", "config: this is not JSON: NaN is no number"),
        ("json", {"config": '{"name": "a\\u0000"}'}, "config", "config: this has a NUL character"),
        ("json", {"config": '{"name": "a\\ud800"}'}, "config", "config: this has half a character"),
        ("json", {"config": '{"type": "poem"}'}, None, "type: choose one of string_check"),
        ("string_check", {"operation": "eq", "input": "{{", "reference": "x"}, "input", "input: a {{ is never closed"),
        ("string_check", {"operation": "eq", "input": "{{item}}", "reference": "x"}, "input", "input: {{item}} must"),
        ("python", {"source": "def grade(a):\n    return 1"}, "source", "source: line 1: grade must take two"),
        (
            "python",
            {"source": "import socket\ndef grade(s, i): return 1"},
            "source",
            "source: line 1: graders cannot import",
        ),
        ("conciseness", {"target_chars": "0"}, "target_chars", "Ensure this value is greater than or equal to 1."),
        ("label_partial_credit", {"labels": " \n "}, "labels", "This field is required."),
        ("numeric_answer", {"tolerance": "-1"}, "tolerance", "Ensure this value is greater than or equal to 0."),
        ("json_schema", {"schema": "{}"}, "schema", "schema: write a schema that asks for something."),
        ("json_schema", {"schema": "[]"}, "schema", "schema: write a JSON object, in braces."),
    ],
)
def test_a_mistake_is_one_sentence_at_its_field(client, kind, values, field, sentence):
    answer = make(client, kind, **values)
    assert answer.status_code == 422
    (found,) = [(name, message) for name, all_ in answer.context["form"].errors.items() for message in all_]
    assert found[0] == (field or "__all__")
    assert found[1].startswith(sentence)
    assert not Grader.objects.exists()


def test_an_import_in_a_part_of_a_multi_grader_is_named(workspace):
    part = {**PYTHON, "source": "import socket\ndef grade(s, i): return 1"}
    with pytest.raises(GraderError, match=r"^graders\.words\.source: line 1: graders cannot import socket\.$"):
        save_grader(workspace, "x", {**MULTI, "graders": {**MULTI["graders"], "words": part}}, by=None)


def test_a_name_that_is_taken_is_refused(client, exact):
    answer = client.post("/graders/new/exact_label/", {"name": exact.name})
    assert answer.status_code == 422
    assert answer.context["form"].errors["name"][0].startswith("name: a grader of this name is there already")
    assert Grader.objects.count() == 1


def test_the_same_name_in_another_workspace_is_free(exact, stranger, client_of):
    assert client_of(stranger).post("/graders/new/exact_label/", {"name": exact.name}).status_code == 302


def test_no_such_kind_is_404(client):
    assert client.get("/graders/new/poem/").status_code == 404


def test_a_change_is_the_next_version_and_the_old_one_stays(client, exact):
    changed = {**EXACT, "operation": "ilike"}
    answer = client.post(f"/graders/{exact.pk}/save/", {"seen": 1, "config": json.dumps(changed)})
    assert answer.status_code == 302
    assert list(Grader.objects.values_list("version", "superseded", "preset")) == [
        (2, False, ""),
        (1, True, "exact_label"),
    ]
    assert [g.config for g in Grader.objects.all()] == [changed, EXACT]
    page = client.get(exact.get_absolute_url())
    assert (page.context["panel"].is_current, page.context["panel"].current.version) == (False, 2)
    assert b"Open the current version" in page.content


def test_an_earlier_version_can_be_made_current_again(client, exact):
    next_version(exact, {**EXACT, "operation": "ne"}, seen=1, by=None)
    answer = client.post(f"/graders/{exact.pk}/save/", {"seen": 2, "config": json.dumps(EXACT)})
    assert answer.status_code == 302
    assert Grader.objects.get(version=3).config == EXACT


def test_saving_nothing_new_makes_no_version(client, exact):
    client.post(f"/graders/{exact.pk}/save/", {"seen": 1, "config": json.dumps(EXACT)})
    assert Grader.objects.count() == 1


def test_a_change_to_a_page_that_is_out_of_date_is_refused(client, exact, colleague):
    next_version(exact, {**EXACT, "operation": "like"}, seen=1, by=colleague)
    answer = client.post(f"/graders/{exact.pk}/save/", {"seen": 1, "config": json.dumps({**EXACT, "operation": "ne"})})
    assert answer.status_code == 422
    assert answer.context["panel"].edit.errors["config"] == [
        "version: version 2 was saved meanwhile, open it and make your change there."
    ]
    assert Grader.objects.count() == 2


def test_a_mistake_in_a_change_keeps_what_was_typed(client, exact, python):
    answer = client.post(f"/graders/{exact.pk}/save/", {"seen": 1, "config": '{"type": 1'})
    assert answer.status_code == 422
    assert b"config: this is not JSON" in answer.content
    assert "{&quot;type&quot;: 1" in answer.content.decode()
    answer = client.post(f"/graders/{python.pk}/save/", {"seen": 1, "source": "def grade(:"})
    assert answer.status_code == 422
    assert answer.context["panel"].source.errors["source"] == ["source: line 1: invalid syntax."]


def test_the_source_of_a_python_grader_can_be_changed_alone(client, python):
    source = "def grade(sample, item):\n    return 0.5\n"
    client.post(f"/graders/{python.pk}/save/", {"seen": 1, "source": source})
    assert Grader.objects.get(version=2).config == {**PYTHON, "source": source}


def test_a_grader_saved_twice_at_the_same_moment_is_one_sentence(workspace):
    stale = Grader.objects.create(workspace=workspace, name="x", version=2, superseded=True, config=EXACT)
    Grader.objects.create(workspace=workspace, name="x", version=1, config=EXACT)
    with pytest.raises(GraderError, match="someone saved this grader at the same moment"):
        save_grader(workspace, "x", {**EXACT, "operation": "ne"}, by=None)
    assert Grader.objects.get(superseded=False).version == 1
    assert stale.version == 2


def test_create_refuses_an_empty_name(workspace):
    with pytest.raises(GraderError, match=r"^name: give the grader a name\.$"):
        create_grader(workspace, "  ", EXACT, by=None)

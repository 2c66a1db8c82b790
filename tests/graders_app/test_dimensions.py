"""The form of several dimensions: rows that come, go and change, weights that sum to 100, mistakes at their field."""

from __future__ import annotations

import pytest

from graders_app.dimensions import Dimensions
from graders_app.models import Grader

pytestmark = pytest.mark.django_db
NEW = "/graders/new/dimensions/"
REGION = "/graders/regions/dimensions/"
LABEL = {"d0-kind": "label_partial_credit", "d0-name": "Right", "d0-labels": "a\nb", "d0-weight": "60"}
SHORT = {"d1-kind": "conciseness", "d1-name": "Short", "d1-target_chars": "90", "d1-weight": "20"}
TWO = {"name": "Right and short", "rows": "2", **LABEL, **SHORT}


@pytest.fixture
def client(owner, client_of):
    return client_of(owner)


def kinds(dimensions):
    return [(row.kind.slug, row.title, row.weight) for row in dimensions.rows]


def test_a_new_form_has_two_dimensions(client):
    assert kinds(client.get(NEW).context["dimensions"]) == [
        ("similarity", "Similarity to the reference", 70),
        ("conciseness", "Conciseness", 30),
    ]


def test_two_dimensions_become_a_grader_with_weights_that_sum_to_one(client, owner, workspace):
    answer = client.post(NEW, TWO)
    grader = Grader.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, grader.get_absolute_url())
    assert grader.config["calculate_output"] == "0.75 * right + 0.25 * (short_answered * (0.6 + 0.4 * short_brevity))"
    assert "LABELS = ['a', 'b']" in grader.config["graders"]["right"]["source"]
    assert (grader.name, grader.workspace, grader.created_by_id) == ("Right and short", workspace, owner.pk)


@pytest.mark.parametrize("address", [NEW, REGION])
def test_buttons_change_the_rows_with_and_without_script(client, address):
    more = client.post(address, {**TWO, "do": "add"}, headers={"HX-Request": "true"})
    assert kinds(more.context["dimensions"]) == [
        ("label_partial_credit", "Right", 50),
        ("conciseness", "Short", 17),
        ("exact_label", "Exact label", 33),
    ]
    assert more.context["dimensions"].rows[0].settings["labels"].value() == "a\nb"
    third = {"d2-kind": "exact_label", "d2-weight": "20"}
    fewer = client.post(address, {**TWO, **third, "rows": "3", "do": "remove:1"})
    assert kinds(fewer.context["dimensions"]) == [
        ("label_partial_credit", "Right", 75),
        ("exact_label", "Exact label", 25),
    ]
    assert (fewer.status_code, Grader.objects.count()) == (200, 0)


def test_another_kind_brings_its_own_settings_and_title(client):
    sent = {**TWO, "d1-kind": "judge", "d1-name": "Conciseness"}
    row = client.post(REGION, sent).context["dimensions"].rows[1]
    assert (row.title, list(row.settings.fields)) == ("Judge", ["name", "criterion", "compare", "scale"])


@pytest.mark.parametrize("do", ["remove:0", "remove:9", "remove:x", "poem"])
def test_two_rows_stay_whatever_is_sent(do):
    assert len(Dimensions.typed({**TWO, "do": do}).rows) == 2


def test_eight_are_the_most():
    assert len(Dimensions.typed({"rows": "8", "do": "add"}).rows) == len(Dimensions.typed({"rows": "999"}).rows) == 8


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"d0-labels": ""}, "labels", "This field is required."),
        ({"d1-target_chars": "0"}, "target_chars", "Ensure this value is greater than or equal to 1."),
        (
            {"d0-kind": "string_check", "d0-operation": "eq", "d0-input": "{{", "d0-reference": "x"},
            "input",
            "input: a {{ is never closed",
        ),
        ({"d1-weight": "0"}, "weight", "A weight of 0 counts for nothing: give it one, or remove the dimension."),
        ({"d1-weight": "nan"}, "weight", "A weight of 0 counts for nothing: give it one, or remove the dimension."),
    ],
)
def test_a_mistake_stands_at_its_field(client, change, field, sentence):
    answer = client.post(NEW, {**TWO, **change})
    assert (answer.status_code, Grader.objects.count()) == (422, 0)
    rows = answer.context["dimensions"].rows
    errors = [(name, text) for row in rows for form in (row.head, row.settings) for name, text in form.errors.items()]
    assert [(name, texts[0].startswith(sentence)) for name, texts in errors] == [(field, True)]


def test_a_taken_name_is_said_at_the_name(client):
    client.post(NEW, TWO)
    answer = client.post(NEW, TWO)
    assert answer.context["form"].errors["name"][0].startswith("name: a grader of this name is there already")


def test_a_judge_is_made_of_a_criterion(client):
    values = {"name": "Polite", "criterion": "It is polite.\r\nIt thanks.", "compare": "question", "scale": "1-5"}
    client.post("/graders/new/judge/", values)
    config = Grader.objects.get().config
    assert (config["type"], config["model"], config["range"]) == ("score_model", "judge", [1, 5])
    system, user = (message["content"] for message in config["input"])
    assert "Score from 1 to 5 how well it meets this criterion:\n\nIt is polite.\nIt thanks.\n\n1 is not" in system
    assert user == "Question:\n{{item.user_message}}\n\nAnswer to grade:\n{{sample.output_text}}"

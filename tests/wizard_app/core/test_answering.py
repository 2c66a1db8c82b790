"""How long a model may think, and the form its answers must have."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_project.platforms.catalogue import entry
from wizard_app.core import answering

MODELS = {
    (kind, m.id): m for kind in ("openai", "azure", "bedrock", "bedrock_openai", "local") for m in entry(kind).models
}
O4 = MODELS["azure", "o4-mini-2025-04-16"]
NOVA = MODELS["bedrock", "amazon.nova-2-lite-v1:0:256k"]
OSS = MODELS["bedrock_openai", "openai.gpt-oss-20b"]
CLASSIFIER = MODELS["local", "classifier"]
SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string"}},
    "required": ["label"],
    "additionalProperties": False,
}


def test_each_model_knows_its_own_efforts() -> None:
    found = [answering.efforts_of(model) for model in (O4, NOVA, OSS, CLASSIFIER)]
    assert found == [["low", "medium", "high"], ["low", "high"], [], []]


@pytest.mark.parametrize(
    ("model", "effort", "said"),
    [
        (O4, "medium", ""),
        (CLASSIFIER, "", ""),
        (NOVA, "medium", "Nova 2 Lite thinks with the effort low or high, not medium."),
        (OSS, "low", "gpt-oss-20b can't be told how long to think; leave its reasoning effort as it is."),
    ],
)
def test_an_effort_that_a_model_does_not_know_is_refused(model, effort, said) -> None:
    assert answering.effort_refusal(model, effort) == said


def test_models_that_think_have_room_for_it() -> None:
    """Nova thinks only where it is told how long to."""
    asked = [(O4, ""), (O4, "low"), (O4, "high"), (NOVA, ""), (NOVA, "high"), (OSS, ""), (CLASSIFIER, "")]
    found = [answering.room_for_thoughts(model, effort) for model, effort in asked]
    assert found == [16_384, 4_096, 32_768, 0, 32_768, 16_384, 0]


def test_the_effort_goes_under_the_name_each_platform_has_for_it() -> None:
    given = {"batchSize": 32}
    assert answering.with_effort(NOVA, given, "high") == {"batchSize": 32, "reasoningEffort": "high"}
    assert answering.with_effort(O4, given, "low") == {"batchSize": 32, "reasoning_effort": "low"}
    assert [answering.with_effort(model, given, "") for model in (O4, None)] == [given, given]


def test_a_training_has_no_effort_of_its_own() -> None:
    for own, effort in (({}, "low"), ({"reasoning_effort": "default"}, ""), ({"reasoning_effort": "low"}, "low")):
        assert answering.effort_conflict(O4, own, effort) == ""
    said = answering.effort_conflict(O4, {"reasoning_effort": "high"}, "low")
    assert said == "The dry run asked with another reasoning effort than high; run it again with that one first."


def test_a_schema_becomes_a_form_and_comes_back() -> None:
    form = answering.form_of(json.dumps(SCHEMA))
    assert form == {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
    assert json.loads(answering.schema_text(form)) == SCHEMA
    assert (answering.form_of(" \n"), answering.schema_text(None)) == (None, "")


UNSTORABLE = "The schema holds a character that can't be stored: NUL or half of a pair."


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("{", "The schema is not JSON."),
        ("[" * 100_000, "The schema is not JSON."),
        ('{"type": "object", "minimum": NaN}', "The schema is not JSON."),
        (r'{"type": "object", "title": "\u0000"}', UNSTORABLE),
        (r'{"type": "object", "title": "\ud800"}', UNSTORABLE),
        ('{"type": "array"}', 'The schema must be a JSON object with "type": "object".'),
        (json.dumps({**SCHEMA, "additionalProperties": True}), 'The schema must say "additionalProperties": false.'),
        (json.dumps({**SCHEMA, "required": []}), '"required" of the schema must name all of its properties.'),
        (json.dumps({**SCHEMA, "properties": []}), '"properties" of the schema must be an object.'),
        (
            json.dumps({**SCHEMA, "properties": {"label": {"type": "object"}}}),
            '"label" must say "additionalProperties": false.',
        ),
        (
            json.dumps({**SCHEMA, "properties": {"label": {"type": "array", "items": {"type": "object"}}}}),
            'The items must say "additionalProperties": false.',
        ),
        (json.dumps({**SCHEMA, "properties": {"label": 1}}), 'In "label" there is something that is no schema.'),
    ],
)
def test_what_strict_mode_refuses_is_said_before_it_is_sent(schema: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"\.$") as refused:
        answering.form_of(schema)
    assert str(refused.value) == said


@given(st.recursive(st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["type", "properties", "items", "anyOf", "required", "$defs", "x"]), inner)))  # fmt: skip
def test_any_json_is_a_form_or_has_a_sentence(value) -> None:
    for schema in (value, {"type": "object", "additionalProperties": False, "properties": value}):
        try:
            form = answering.form_of(json.dumps(schema))
        except ValueError as fault:
            assert str(fault).endswith(".")
        else:
            assert form is not None and form["json_schema"]["schema"] == schema

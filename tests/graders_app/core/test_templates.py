# ruff: noqa: E501 - the table of mistakes reads better in long lines
from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graders_app.core.templates import TemplateError, compile_template

SAMPLE = {
    "output_text": "hi {{item.secret}}",
    "output_json": {"label": "a", "n": 1, "half": 0.5, "none": None, "yes": True, "list": ["x", {"y": "z"}]},
    "output_tools": [{"function": {"name": "find", "arguments": "{}"}}],
}
ITEM = {"reference_answer": "ja, ü", "secret": "no", "a-b": "dash", "0": "zero", "__class__": "a key like any other"}


def render(text: str) -> str:
    return compile_template(text).render(SAMPLE, ITEM)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", ""),
        ("no variables, { one } brace", "no variables, { one } brace"),
        ("{{item.reference_answer}}", "ja, ü"),
        ("{{  item.reference_answer\t}}!", "ja, ü!"),
        ("{{sample.output_json.label}}{{sample.output_json.n}}", "a1"),
        ("{{sample.output_json.half}} {{sample.output_json.none}} {{sample.output_json.yes}}", "0.5 null true"),
        ("{{sample.output_json.list}}", '["x",{"y":"z"}]'),
        ("{{sample.output_json.list[1].y}} {{sample.output_json.list.0}}", "z x"),
        ("{{sample.output_tools[0].function.name}}", "find"),
        ("{{item.a-b}} {{item.0}} {{item.__class__}}", "dash zero a key like any other"),
        ('{"text": {{item.reference_answer}}, "b": {"c": 1}}', '{"text": ja, ü, "b": {"c": 1}}'),
        ("{{{item.secret}}}", "{no}"),
    ],
)
def test_variables_are_filled_in(text, result):
    assert render(text) == result


def test_what_a_variable_expands_to_is_not_expanded_again():
    assert render("{{sample.output_text}}") == "hi {{item.secret}}"


@pytest.mark.parametrize(
    ("text", "variable", "message"),
    [
        ("{{item.missing}}", "item.missing", "{{item.missing}} is not there"),
        ("{{item.secret.upper}}", "item.secret.upper", "{{item.secret.upper}} is not there"),
        ("{{sample.output_json.list[2]}}", "sample.output_json.list[2]", "{{sample.output_json.list[2]}} is not there"),
        ("{{sample.output_json.list.y}}", "sample.output_json.list.y", "{{sample.output_json.list.y}} is not there"),
        ("{{sample.output_json[0]}}", "sample.output_json[0]", "{{sample.output_json[0]}} is not there"),
        ("{{item.reference_answer.__class__}}", "item.reference_answer.__class__", "{{item.reference_answer.__class__}} is not there"),
        ("{{item}}", "item", "{{item}} must name a field of item or sample"),
        ("{{item[0]}}", "item[0]", "{{item[0]}} must name a field of item or sample"),
        ("{{settings.SECRET_KEY}}", "settings.SECRET_KEY", "{{settings.SECRET_KEY}} must name a field of item or sample"),
        ("{{ 7*7 }}", "7*7", "{{7*7}} is not a variable, write a path such as {{item.reference_answer}}"),
        ("{{item.a()}}", "item.a()", "{{item.a()}} is not a variable, write a path such as {{item.reference_answer}}"),
        ("{{item.a|upper}}", "item.a|upper", "{{item.a|upper}} is not a variable, write a path such as {{item.reference_answer}}"),
        ("{{}}", "", "{{}} is not a variable, write a path such as {{item.reference_answer}}"),
        ("{{item.a", "", "a {{ is never closed by }}"),
        ("x" * 200_001, "", "the template is longer than 200,000 characters"),
    ],
)  # fmt: skip
def test_what_cannot_be_filled_in_is_named(text, variable, message):
    with pytest.raises(TemplateError) as error:
        render(text)

    assert (error.value.variable, str(error.value)) == (variable, message)


class Trap(dict):
    """A dict that is more than a dict is not walked: its methods would run."""

    def __getitem__(self, key):
        raise AssertionError


@pytest.mark.parametrize("value", [Trap(a=1), object(), {"a": object()}])
def test_only_plain_data_is_walked_and_written(value):
    text = "{{item.x.a}}" if isinstance(value, Trap) else "{{item.x}}"
    with pytest.raises(TemplateError):
        compile_template(text).render({}, {"x": value})


def test_the_filled_in_text_is_bounded():
    with pytest.raises(TemplateError, match="longer than 2,000,000 characters"):
        compile_template("{{item.x}}" * 3).render({}, {"x": "y" * 1_000_000})


@pytest.mark.parametrize("text", ["{" * 200_000, "{{ a" * 50_000, "{{item.secret}}" * 13_000, "}}{{" * 50_000])
def test_a_hostile_template_costs_little(text):
    started = time.process_time()
    with suppress(TemplateError):
        render(text)
    assert time.process_time() - started < 2


@given(st.text(), st.text())
def test_values_pass_through_whatever_they_hold(before, value):
    before = before.replace("{", "")
    assert compile_template(before + "{{item.x}}").render({}, {"x": value}) == before + value


@given(st.text(alphabet="{} itemsaplx.[0]", max_size=40))
def test_any_text_is_a_template_or_a_template_error(text):
    try:
        rendered = compile_template(text).render({"x": "s"}, {"x": "i"})
    except TemplateError as error:
        assert str(error)
    else:
        assert "{{" not in text or rendered != text

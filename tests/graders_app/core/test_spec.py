# ruff: noqa: E501 - the table of mistakes reads better in long lines
"""Grader documents: what is accepted, the sentence for what is not, and which fields a grader reads."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from graders_app.core.spec import (
    METRICS,
    GraderError,
    MultiSpec,
    PythonSpec,
    ScoreModelSpec,
    children,
    item_fields,
    parse_grader,
    variables,
)

CHECK = {
    "type": "string_check",
    "name": "label",
    "operation": "eq",
    "input": "{{sample.output_json.label}}",
    "reference": "{{ item.reference_answer }}",
}
SIMILARITY = {
    "type": "text_similarity",
    "name": "near",
    "input": "{{sample.output_text}}",
    "reference": "{{item.reason}}",
    "evaluation_metric": "rouge_l",
}
JUDGE = {
    "type": "score_model",
    "name": "why",
    "model": "gpt-4.1-2025-04-14",
    "range": [0, 5],
    "sampling_params": {"seed": 42, "temperature": 0.5},
    "input": [
        {"role": "system", "content": "Rate 0 to 5."},
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "gold {{item.reason}} got {{sample.output_text}}"}],
        },
    ],
}
PYTHON = {
    "type": "python",
    "name": "code",
    "source": "def grade(sample, item):\n    return 1.0\n",
    "image_tag": "2025-05-08",
}
MULTI = {
    "type": "multi",
    "name": "total",
    "pass_threshold": 0.65,
    "graders": {"label": CHECK, "near": SIMILARITY, "why": JUDGE, "code": PYTHON},
    "calculate_output": "0.5*label + 0.2*near + 0.2*why + 0.1*code",
}


@pytest.mark.parametrize("config", [CHECK, SIMILARITY, JUDGE, PYTHON, MULTI], ids=lambda config: config["type"])
def test_a_document_comes_back_as_it_went_in(config):
    given = copy.deepcopy(config)

    back = parse_grader(config).to_config()

    assert json.dumps(back, sort_keys=True) == json.dumps(given, sort_keys=True)  # 0 stays 0, not 0.0
    assert config == given


def test_children_are_typed_and_keep_their_keys():
    spec = parse_grader(MULTI)

    assert isinstance(spec, MultiSpec)
    assert {name: child.type for name, child in children(spec).items()} == {
        "label": "string_check",
        "near": "text_similarity",
        "why": "score_model",
        "code": "python",
    }
    assert list(children(parse_grader(CHECK))) == ["label"]


def test_the_range_of_a_judge_is_0_to_1_by_default():
    given = parse_grader(JUDGE)
    default = parse_grader({key: value for key, value in JUDGE.items() if key != "range"})

    assert isinstance(given, ScoreModelSpec)
    assert isinstance(default, ScoreModelSpec)
    assert (given.bounds, default.bounds) == ((0.0, 5.0), (0.0, 1.0))


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_of_the_field_is_accepted(metric):
    assert parse_grader({**SIMILARITY, "evaluation_metric": metric}).to_config()["evaluation_metric"] == metric


def changed(base: dict, **changes: object) -> dict:
    return {key: value for key, value in {**base, **changes}.items() if value is not ...}


def nested(**changes: object) -> dict:
    return changed(MULTI, graders={"label": changed(CHECK, **changes)}, calculate_output="label")


def python(source: str) -> dict:
    return changed(PYTHON, source=source)


SAMPLE_FIELDS = "choices, output_audio, output_json, output_reasoning_summary, output_text or output_tools"
MISTAKES = [
    ([], "", "a grader is a JSON object with a type and a name."),
    ({}, "type", "choose one of string_check, text_similarity, score_model, python or multi."),
    (
        {"type": "label_model"},
        "type",
        "choose one of string_check, text_similarity, score_model, python or multi, not 'label_model'.",
    ),
    (changed(CHECK, name=...), "name", "this field is missing."),
    (changed(CHECK, name=""), "name", "this cannot be empty."),
    (changed(CHECK, name="x" * 201), "name", "use at most 200 characters."),
    (changed(CHECK, input=7), "input", "write text here."),
    (changed(CHECK, operation="neq"), "operation", "choose one of eq, ne, like or ilike, not 'neq'."),
    (changed(CHECK, operatoin="eq"), "operatoin", "this is not a field of a string_check grader."),
    (changed(SIMILARITY, evaluation_metric="cosine"), "evaluation_metric", "cosine is not accepted in reinforcement fine-tuning."),
    (changed(CHECK, input="{{sample.output_text"), "input", "a {{ is never closed by }}."),
    (changed(CHECK, reference="{{item.a + 1}}"), "reference",
     "{{item.a + 1}} is not a variable, write a path such as {{item.reference_answer}}."),
    (changed(CHECK, reference="{{settings.KEY}}"), "reference", "{{settings.KEY}} must name a field of item or sample."),
    (changed(CHECK, input="{{sample.text}}"), "input", f"{{{{sample.text}}}} does not exist, an answer has {SAMPLE_FIELDS}."),
    (changed(JUDGE, input=[]), "input", "give at least 1."),
    (changed(JUDGE, input="x"), "input", "this must be a list."),
    (changed(JUDGE, input=[{"role": "bot", "content": ""}]), "input.0.role",
     "choose one of system, developer, user or assistant, not 'bot'."),
    (changed(JUDGE, input=[{"role": "user", "content": "{{item}}"}]), "input.0.content",
     "{{item}} must name a field of item or sample."),
    (changed(JUDGE, range=[1, 0]), "range", "give the lowest score first and a higher one second."),
    (changed(JUDGE, range=[0]), "range", "give at least 2."),
    (changed(JUDGE, range=[0, "5"]), "range.1", "this must be a number."),
    (python("def grade(sample, item)\n    return 1"), "source", "line 1: expected ':'."),
    (python("x = 1"), "source", "define a function grade(sample, item) that returns a number."),
    (python("def grade(sample): return 1"), "source", "line 1: grade must take two arguments, sample and item."),
    (python("\ndef grade(a, b, c): return 1"), "source", "line 2: grade must take two arguments, sample and item."),
    (python("async def grade(sample, item): return 1"), "source", "line 1: grade must be an ordinary function, not async."),
    (python("x = " + "-" * 100_000 + "1"), "source", "the source is nested too deeply."),
    (python("x = '\0'"), "source", "line 1: source code string cannot contain null bytes."),
    (python("#" * 256_001), "source", "the source is longer than 256 kB."),
    (nested(operation="neq"), "graders.label.operation", "choose one of eq, ne, like or ilike, not 'neq'."),
    (nested(input="{{item.}}"), "graders.label.input",
     "{{item.}} is not a variable, write a path such as {{item.reference_answer}}."),
    (nested(pass_threshold=0.5), "graders.label.pass_threshold", "the graders inside a multi grader cannot have one."),
    (changed(MULTI, graders={"inner": MULTI}), "graders.inner.type", "a multi grader cannot hold another multi grader."),
    (changed(MULTI, graders={}), "graders", "give at least 1."),
    (changed(MULTI, graders=[CHECK]), "graders", "this must be a JSON object."),
    (changed(MULTI, graders={"a-b": CHECK}), "graders.a-b", "use letters, digits and _ for this name, not a digit first."),
    (changed(MULTI, graders={"min": CHECK}), "graders.min", "use letters, digits and _ for this name, not a digit first."),
    (changed(MULTI, calculate_output="label + nears"), "calculate_output", "there is no grader named 'nears'."),
    (changed(MULTI, calculate_output="label if near else why"), "calculate_output", "did not expect 'if'."),
    (changed(MULTI, calculate_output="0.5"), "calculate_output", "use at least one grader in the formula."),
    (changed(MULTI, calculate_output=...), "calculate_output", "this field is missing."),
]  # fmt: skip


@pytest.mark.parametrize(("config", "field", "reason"), MISTAKES)
def test_a_mistake_is_one_sentence_that_starts_with_its_field(config, field, reason):
    with pytest.raises(GraderError) as mistake:
        parse_grader(config)

    assert (mistake.value.field, str(mistake.value)) == (field, f"{field}: {reason}" if field else reason)


@pytest.mark.parametrize(
    "source",
    [
        "def grade(sample, item, tolerance=0.1): return 1",
        "def grade(*pair): return 1",
        "grade = lambda sample, item: 1",
        "from rapidfuzz.fuzz import ratio as grade",
        "#" * 255_900 + "\ndef grade(sample, item): return 1",
    ],
)
def test_other_ways_to_define_grade_are_fine(source):
    assert isinstance(parse_grader(python(source)), PythonSpec)


def test_the_fields_a_grader_reads_are_found_in_templates_and_in_code():
    source = """
def helper(row):
    return row["not_seen"]

def grade(sample, row):
    wanted = row["price"] if "price" in row else row.get("cost", 0)
    return float(sample["output_text"] == wanted["amount"])
"""
    spec = parse_grader(changed(MULTI, graders={"label": CHECK, "why": JUDGE, "code": python(source)},
                                calculate_output="label*why*code"))  # fmt: skip

    assert item_fields(spec) == {"reference_answer", "reason", "price", "cost", "not_seen"}
    assert [variable.path for variable in variables(spec)] == [
        "sample.output_json.label",
        "item.reference_answer",
        "item.reason",
        "sample.output_text",
    ]


REAL = Path(__file__).resolve().parents[4] / "shared/data/dev-rft-gsm8k/native/azure_graders"


@pytest.mark.skipif(not REAL.exists(), reason="needs the shared data")
@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("clause_model_grader.json", {"extracted_text", "clause_type"}),
        ("clause_multi_grader.json", {"extracted_text", "clause_type"}),
        ("medmcq_stringcheck_grader.json", {"reference_answer"}),
    ],
)
def test_published_graders_load(name, fields):
    config = json.loads((REAL / name).read_text())
    spec = parse_grader(config)

    assert spec.to_config() == config
    assert item_fields(spec) == fields

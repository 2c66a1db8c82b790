"""What a grader measures, in words, and the example a test starts with. No database."""

from __future__ import annotations

import pytest

from graders_app.core.spec import METRICS, parse_grader
from graders_app.examples import ANSWER, QUESTION, example_answer, example_item
from graders_app.forms import FIRST_DOCUMENT, FIRST_SOURCE
from graders_app.kinds import KINDS, libraries
from graders_app.trial import run_trial
from graders_app.words import METRICS as METRIC_WORDS
from graders_app.words import parts_of, sentence_of
from tests.graders_app.conftest import EXACT, JUDGE, MULTI, PYTHON


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (EXACT, "1 where the answer is exactly the record's reference_answer, else 0."),
        ({**EXACT, "operation": "ne", "reference": "no"}, "1 where the answer is anything but “no”, which scores 0."),
        (
            {**EXACT, "operation": "like", "input": "{{sample.output_json.intent}}"},
            "1 where intent in the answer's JSON contains the record's reference_answer, else 0.",
        ),
        (
            {
                "type": "text_similarity",
                "name": "t",
                "input": "{{sample.output_text}}",
                "reference": "{{item.good.reply}}",
                "evaluation_metric": "rouge_1",
            },
            "How alike the answer and the record's good.reply are. Single words that both have (ROUGE-1).",
        ),
        (PYTHON, "Share of the wanted words that are there."),
        ({**PYTHON, "source": "def grade(s, i):\n    return 1"}, "A Python function computes the score."),
        (
            JUDGE,
            "The judge judge-model reads the answer and scores it from 1 to 5, shown here as 0 to 1.",
        ),
    ],
)
def test_sentence(config, sentence):
    assert sentence_of(parse_grader(config)) == sentence


def test_parts_of_a_multi_grader_have_their_keys():
    assert [(part.key, part.kind) for part in parts_of(parse_grader(MULTI))] == [
        ("exact", "String check"),
        ("words", "Python"),
    ]
    assert [part.key for part in parts_of(parse_grader(EXACT))] == [""]


def test_every_metric_has_words():
    assert list(METRIC_WORDS) == list(METRICS)


def test_the_example_has_every_field_that_is_read():
    config = {**EXACT, "input": "{{sample.output_json.intent}}", "reference": "{{item.a.b}} {{item.c[0]}} {{item.d}}"}
    spec = parse_grader(config)
    assert example_item(spec) == {"user_message": QUESTION, "a": {"b": "…"}, "c": "…", "d": "…"}
    assert example_answer(spec) == '{"intent": "…"}'
    assert example_answer(parse_grader(PYTHON)) == ANSWER
    assert example_item(parse_grader(EXACT)) == {"user_message": QUESTION, "reference_answer": "shipping"}
    assert example_answer(parse_grader(EXACT)) == "shipping"


def test_what_the_forms_start_with_runs():
    for config in (FIRST_DOCUMENT, {"type": "python", "name": "p", "source": FIRST_SOURCE}):
        spec = parse_grader(config)
        trial = run_trial(spec, example_answer(spec), example_item(spec))
        assert (trial.problem, trial.result.reward, trial.result.errors) == ("", 1.0, [])


def test_libraries_are_the_ones_beyond_pythons_own():
    assert {"numpy", "rapidfuzz"} <= set(libraries())
    assert not {"json", "os", "xml"} & set(libraries())


def test_every_preset_and_type_can_be_chosen():
    assert list(KINDS) == [
        "exact_label", "label_partial_credit", "numeric_answer", "similarity", "tool_call_match", "tool_usage",
        "json_schema", "format_compliance", "conciseness", "correctness",
        "string_check", "text_similarity", "python", "judge", "json",
    ]  # fmt: skip

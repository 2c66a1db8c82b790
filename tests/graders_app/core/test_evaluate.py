"""Graders as a whole: rewards, sub-rewards, and what each kind of failure does to them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from graders_app.core.evaluate import (
    GraderError,
    GraderIssue,
    GraderResult,
    JudgeAnswer,
    JudgeError,
    Limits,
    make_item,
    make_sample,
    open_grader,
)
from graders_app.core.spec import parse_grader
from rft_project.platforms.types import Usage


def check(
    operation: str = "eq", input: str = "{{sample.output_text}}", reference: str = "{{item.reference_answer}}"
) -> dict:
    return {"type": "string_check", "name": "check", "operation": operation, "input": input, "reference": reference}


def python(source: str) -> dict:
    return {"type": "python", "name": "code", "source": source}


def multi(formula: str, **graders: dict) -> dict:
    return {"type": "multi", "name": "total", "graders": graders, "calculate_output": formula}


def judge_grader(**changes: object) -> dict:
    prompt = [{"role": "user", "content": "Rate {{sample.output_text}} against {{item.reference_answer}}"}]
    return {"type": "score_model", "name": "judge", "model": "judge-1", "input": prompt, **changes}


def grade(config: dict, text: str, reference: str | None = "yes", **keywords) -> GraderResult:
    with open_grader(config, **keywords) as grader:
        return grader.grade(make_sample(text), make_item({"n": 3}, [{"role": "user", "content": "?"}], reference))


class Answering:
    """A judge that answers what it is told and keeps what it was asked."""

    def __init__(self, *answers: str | JudgeError) -> None:
        self.answers = list(answers)
        self.asked: list[tuple] = []

    def __call__(self, questions):
        return [self._answer(question) for question in questions]

    def _answer(self, question):
        required = question.schema["schema"]["required"]
        self.asked.append((question.messages, question.model, required, question.sampling_params))
        answer = self.answers.pop(0)
        return (
            answer
            if isinstance(answer, JudgeError)
            else JudgeAnswer(answer, Usage(prompt_tokens=10, completion_tokens=2))
        )


# -- string_check and text_similarity --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "text", "reward"),
    [
        ("eq", "yes", 1.0),
        ("eq", "Yes", 0.0),
        ("eq", "yes ", 0.0),
        ("ne", "no", 1.0),
        ("ne", "yes", 0.0),
        ("like", "oh yes!", 1.0),
        ("like", "ye", 0.0),
        ("like", "YES", 0.0),
        ("ilike", "Oh YES", 1.0),
        ("ilike", "no", 0.0),
    ],
)
def test_string_check(operation, text, reward):
    assert grade(check(operation), text) == GraderResult(reward, {"check": reward})


def test_text_similarity():
    config = {**check(), "type": "text_similarity", "evaluation_metric": "rouge_1"}
    del config["operation"]

    assert grade(config, "yes or no", "yes it is").reward == pytest.approx(1 / 3)


def test_texts_that_are_too_long_are_an_error_not_a_zero():
    config = {**check(), "type": "text_similarity", "evaluation_metric": "rouge_1"}
    del config["operation"]

    assert grade(config, "x" * 100_001) == GraderResult(
        None, errors=[GraderIssue("other_error", "a text is longer than 100,000 characters.")]
    )


# -- whose fault a missing variable is -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not JSON", "The answer is not JSON."),
        ("", "The answer is not JSON."),
        ('{"other": 1}', "The answer has no {{sample.output_json.label}}."),
        ("[1]", "The answer has no {{sample.output_json.label}}."),
    ],
)
def test_an_answer_that_lacks_its_json_scores_0_and_is_reported(text, message):
    result = grade(check(input="{{sample.output_json.label}}"), text)

    assert result == GraderResult(0.0, {"check": 0.0}, [GraderIssue("sample_parse_error", message)])


def test_a_record_that_lacks_a_field_gives_no_reward():
    issue = GraderIssue("invalid_variable_error", "{{item.reference_answer}} is not there.")

    assert grade(check(), "yes", reference=None) == GraderResult(None, {}, [issue])


# -- python ----------------------------------------------------------------------------------------------------


def test_python_reads_sample_and_item():
    source = """
def grade(sample, item):
    same = sample["output_text"] == item["reference_answer"] and sample["output_json"] is None
    return 0.25 * item["n"] * same * len(sample["choices"])
"""
    assert grade(python(source), "yes") == GraderResult(0.75, {"code": 0.75})


def test_a_python_error_gives_no_reward_and_names_the_line():
    result = grade(python("def grade(sample, item):\n    return item['label']\n"), "yes")

    message = "Line 2: KeyError: 'label'"
    assert result == GraderResult(None, {}, [GraderIssue("python_grader_runtime_error", message, line=2)])


def test_limits_reach_the_jail():
    source = "import time\ndef grade(sample, item):\n    time.sleep(9)\n"
    result = grade(python(source), "yes", limits=Limits(wall_seconds=0.2))

    message = "The grader took longer than 0.2 s and was stopped."
    assert result.errors == [GraderIssue("python_grader_runtime_error", message)]


def test_what_cannot_be_sent_to_python_is_the_servers_error():
    with open_grader(python("def grade(sample, item):\n    return 1.0\n")) as grader:
        result = grader.grade(make_sample("x"), {"when": object()})

    assert result.errors == [GraderIssue("python_grader_server_error", "The record or the answer is not JSON.")]


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        (python("import socket\ndef grade(sample, item): return 1"), "source", "line 1: graders cannot import socket."),
        (
            multi("code", code=python("1/0\ndef grade(sample, item): return 1")),
            "graders.code.source",
            "line 1: ZeroDivisionError: division by zero.",
        ),
        (judge_grader(), "model", "a judge needs a connection to ask, and none is given."),
        (check(operation="is"), "operation", "choose one of eq, ne, like or ilike, not 'is'."),
    ],
)
def test_a_grader_that_cannot_run_is_not_opened(config, field, message):
    with pytest.raises(GraderError) as error, open_grader(config):
        pass

    assert (error.value.field, str(error.value)) == (field, f"{field}: {message}")


# -- multi -----------------------------------------------------------------------------------------------------

HALF = python("def grade(sample, item):\n    return 0.5\n")
BROKEN = python("def grade(sample, item):\n    return 1 / 0\n")


def test_multi_combines_its_children():
    config = multi("0.8*label + 0.2*half^2", label=check(), half=HALF)

    assert grade(config, "yes") == GraderResult(pytest.approx(0.85), {"label": 1.0, "half": 0.5})


def test_a_child_that_fails_counts_as_0_and_is_reported():
    result = grade(multi("0.8*label + 0.2*code", label=check(), code=BROKEN), "yes")

    message = "Line 2: ZeroDivisionError: division by zero"
    issue = GraderIssue("python_grader_runtime_error", message, "code", 2)
    assert result == GraderResult(pytest.approx(0.8), {"label": 1.0}, [issue])


def test_a_multi_grader_whose_children_all_fail_gives_no_reward():
    result = grade(multi("label + code", label=check(), code=BROKEN), "yes", reference=None)

    assert (result.reward, result.sub_rewards) == (None, {})
    assert [(error.kind, error.component) for error in result.errors] == [
        ("invalid_variable_error", "label"),
        ("python_grader_runtime_error", "code"),
    ]


def test_a_formula_without_a_result_gives_no_reward_but_keeps_the_children():
    result = grade(multi("half / label", label=check(), half=HALF), "no")

    issue = GraderIssue("formula_parse_error", "calculate_output: 'half / label' divides by zero.")
    assert result == GraderResult(None, {"label": 0.0, "half": 0.5}, [issue])


def test_a_formula_may_leave_0_to_1_if_its_author_wrote_it_so():
    assert grade(multi("3*label - 1", label=check()), "yes").reward == 2.0


# -- score_model -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("range", "answer", "reward"),
    [
        (None, '{"result": 0.25, "steps": []}', 0.25),
        ([0, 5], '{"result": 4, "steps": []}', 0.8),
        ([1, 5], '{"result": 1}', 0.0),
        ([-1, 1], '{"result": 0.5}', 0.75),
        ([0, 5], '{"result": 17}', 1.0),
        ([0, 5], '{"result": -3}', 0.0),
        ([0, 5], "2.5", 0.5),
    ],
)
def test_a_judges_score_is_clipped_to_its_range_and_mapped_to_0_to_1(range, answer, reward):
    config = judge_grader(range=range) if range else judge_grader()

    result = grade(config, "yes", judge=Answering(answer))

    assert (result.reward, result.errors) == (pytest.approx(reward), [])


@pytest.mark.parametrize(
    "answer", ["good", '{"result": "good"}', '{"result": true}', "{}", "[0.5]", '{"result": NaN}', "1" * 400]
)
def test_a_judge_that_gives_no_number_gives_no_reward(answer):
    result = grade(judge_grader(), "yes", judge=Answering(answer))

    message = f"The judge did not answer with a number but with {answer[:120]!r}."
    assert (result.reward, result.errors) == (None, [GraderIssue("model_grader_parse_error", message)])
    assert result.usage == {"judge-1": Usage(prompt_tokens=10, completion_tokens=2)}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (JudgeError("The judge is busy."), "model_grader_server_error"),
        (JudgeError("The judge would not answer.", refused=True), "model_grader_refusal_error"),
    ],
)
def test_a_judge_that_fails_gives_no_reward(error, kind):
    result = grade(judge_grader(), "yes", judge=Answering(error))

    assert result == GraderResult(None, {}, [GraderIssue(kind, str(error))])


def test_a_judge_is_asked_with_the_filled_in_prompt_and_its_words_are_kept():
    parts = [
        {"type": "input_text", "text": "gold {{item.reference_answer}}"},
        {"type": "input_text", "text": "n {{item.n}}"},
    ]
    config = judge_grader(
        input=[{"role": "system", "content": "Rate {{sample.output_text}}"}, {"role": "user", "content": parts}],
        sampling_params={"seed": 1},
    )
    steps = [{"description": "Same word", "conclusion": "full score"}, {"description": "Tone", "conclusion": "fine"}]
    judge = Answering(json.dumps({"steps": steps, "result": 1}))

    result = grade(config, "yes {{item.n}}", judge=judge)

    assert result.notes == {"judge": "Same word: full score\nTone: fine"}
    assert judge.asked == [
        (
            [
                {"role": "system", "content": "Rate yes {{item.n}}"},
                {
                    "role": "user",
                    "content": [{"type": "input_text", "text": "gold yes"}, {"type": "input_text", "text": "n 3"}],
                },
            ],
            "judge-1",
            ["steps", "result"],
            {"seed": 1},
        )
    ]


def test_a_judge_is_not_asked_about_a_record_that_lacks_a_field():
    judge = Answering()

    result = grade(judge_grader(), "yes", reference=None, judge=judge)

    assert (judge.asked, [error.kind for error in result.errors]) == ([], ["invalid_variable_error"])


def test_tokens_are_added_up_by_model():
    config = multi("a + b + c", a=judge_grader(), b=judge_grader(), c=judge_grader(model="judge-2"))
    result = grade(config, "yes", judge=Answering("0.1", "0.2", "0.3"))

    assert result.reward == pytest.approx(0.6)
    assert result.usage == {
        "judge-1": Usage(prompt_tokens=20, completion_tokens=4),
        "judge-2": Usage(prompt_tokens=10, completion_tokens=2),
    }


# -- many ------------------------------------------------------------------------------------------------------


def test_a_batch_equals_one_by_one():
    config = multi("0.5*label + 0.5*half", label=check(input="{{sample.output_json.a}}"), half=HALF)
    pairs = [(make_sample(text), make_item({}, [], "1")) for text in ('{"a": 1}', "no", '{"a": "1"}', '{"b": 1}')]
    with open_grader(parse_grader(config)) as grader:
        batch, single = grader.grade_many(pairs), [grader.grade(*pair) for pair in pairs]

    assert batch == single
    assert [result.reward for result in batch] == [0.75, 0.25, 0.75, 0.25]


def test_threads_may_share_a_grader():
    source = "def grade(sample, item):\n    return float(sample['output_text'])\n"
    with open_grader(multi("code", code=python(source))) as grader, ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda n: grader.grade(make_sample(str(n / 100)), {}).reward, range(50)))

    assert results == [n / 100 for n in range(50)]


def test_no_pairs_no_results():
    with open_grader(HALF) as grader:
        assert grader.grade_many([]) == []

"""The Lambda function on its own: events, failures, secrets, the zip."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile

import pytest

from graders_app.core.compiling import lambda_zip
from graders_app.core.compiling.packing import MAX_ZIP_BYTES
from graders_app.core.errors import GraderError
from tests.graders_app.core.compiling.cases import checked, documents, multi

EXACT = checked("eq", "{{sample.output_text}}", "{{item.reference_answer}}")
QUESTION = {"role": "user", "content": "2+2?"}


def python(source: str) -> dict:
    return {"type": "python", "name": "python", "source": source}


def entry(answer, **fields) -> dict:
    return {"id": "1", "messages": [QUESTION, {"role": "assistant", "content": answer}], **fields}


def metrics(answer: dict) -> dict:
    return {metric["name"]: metric["value"] for metric in answer["metrics_list"]}


@pytest.mark.parametrize(
    "sample",
    [
        entry("4", metadata={"reference_answer": "4", "trace_id": "t"}),
        entry("4", reference_answer="4", trace_id="t"),
        entry("4", reference_answer={"text": "4"}, trace_id="t"),
        entry("4", metadata={"reference_answer": {"text": "4"}, "trace_id": "t"}),
        entry("4", metadata='{"reference_answer": "4", "trace_id": "t"}'),
        entry([{"type": "text", "text": "4"}], reference_answer="4", trace_id="t"),
        entry([{"text": "4"}], reference_answer="4", trace_id="t"),
        {
            "id": "1",
            "messages": [QUESTION, {"role": "nova_assistant", "content": "4"}],
            "metadata": {"reference_answer": "4", "trace_id": "t"},
        },
    ],
)
def test_every_shape_of_an_event_is_read(invoke, sample):
    (answered, alone), log = invoke(lambda_zip(EXACT), [sample], sample)
    assert (
        answered
        == alone
        == [
            {
                "id": "1",
                "aggregate_reward_score": 1.0,
                "metrics_list": [
                    {"name": "check", "value": 1.0, "type": "Metric"},
                    {"name": "grader_error", "value": 0.0, "type": "Metric"},
                ],
            }
        ]
    )
    assert log[0] == {"id": "1", "trace_id": "t", "reward": 1.0, "sub_rewards": {"check": 1.0}, "errors": []}


def test_an_answer_object_is_reached_by_its_path(invoke):
    config = checked("eq", "{{sample.output_text}}", "{{item.reference_answer.answer}}")
    (answered,), _log = invoke(lambda_zip(config), [entry("4", metadata={"reference_answer": {"answer": "4"}})])
    assert answered[0]["aggregate_reward_score"] == 1.0


def test_the_last_answer_is_graded_and_what_came_before_is_the_prompt(invoke):
    right = 'len(item["messages"]) == 3 and item["user_message"] == "And 3+3?"'
    source = f"def grade(sample, item):\n    return 1.0 if {right} else 0.0"
    turns = [QUESTION, {"role": "assistant", "content": "4"}, {"role": "user", "content": "And 3+3?"}]
    (answered,), _log = invoke(
        lambda_zip(python(source)), [{"id": "1", "messages": [*turns, {"role": "assistant", "content": "6"}]}]
    )
    assert answered[0]["aggregate_reward_score"] == 1.0


def test_one_bad_sample_costs_itself_alone(invoke):
    bad = [None, 7, {"id": "no messages"}, {"id": "no answer", "messages": [QUESTION]}, entry("4"), {"messages": "x"}]
    (answered,), log = invoke(lambda_zip(EXACT), [*bad, entry("4", reference_answer="4")])
    assert [sample["id"] for sample in answered] == ["0", "1", "no messages", "no answer", "1", "5", "1"]
    assert [sample["aggregate_reward_score"] for sample in answered] == [0.0] * 6 + [1.0]
    assert [metrics(sample)["grader_error"] for sample in answered] == [1.0] * 6 + [0.0]
    assert [line["errors"][0]["kind"] for line in log[:-1]] == ["other_error"] * 4 + [
        "invalid_variable_error",
        "other_error",
    ]


def test_rewards_are_clamped_and_never_infinite(invoke):
    config = multi("m", {"eq": EXACT}, "eq * 10 - 5")
    (answered,), _log = invoke(lambda_zip(config), [entry("4", reference_answer="4"), entry("5", reference_answer="4")])
    assert [sample["aggregate_reward_score"] for sample in answered] == [1.0, 0.0]
    config = multi("m", {"eq": EXACT}, "1 / eq")
    (answered,), _log = invoke(lambda_zip(config), [entry("5", reference_answer="4")])
    assert answered[0]["aggregate_reward_score"] == 0.0
    assert metrics(answered[0]) == {"eq": 0.0, "grader_error": 1.0}


def test_python_has_no_environment_and_so_no_credentials(invoke):
    source = (
        "import os\n\n\ndef grade(sample, item):\n    return 0.0 if any('AWS' in name for name in os.environ) else 1.0"
    )
    secrets = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c"}
    (answered,), _log = invoke(lambda_zip(python(source)), [entry("4")], environment=secrets)
    assert answered[0]["aggregate_reward_score"] == 1.0


def test_python_that_ends_its_process_or_cannot_be_loaded_is_an_error_of_the_sample(invoke):
    ending = "os._exit(3) if sample['output_text'] == '5' else None"
    source = f"import os\n\n\ndef grade(sample, item):\n    {ending}\n    return 1.0"
    (answered,), log = invoke(lambda_zip(python(source)), [entry("4"), entry("5"), entry("4")])
    assert [sample["aggregate_reward_score"] for sample in answered] == [1.0, 0.0, 1.0]
    assert log[1]["errors"] == [{"kind": "python_grader_runtime_error", "component": "", "line": None}]
    (answered,), log = invoke(lambda_zip(documents()["no python"]), [entry("4", reference_answer="4")] * 2)
    assert [sample["aggregate_reward_score"] for sample in answered] == [1.0, 1.0]  # a missing part counts as 0
    assert log[0]["errors"] == [{"kind": "python_grader_runtime_error", "component": "no", "line": 1}]


def test_python_that_never_ends_is_stopped_and_the_next_sample_is_graded(invoke):
    source = "def grade(sample, item):\n    while sample['output_text'] == '5':\n        pass\n    return 1.0"
    (answered,), _log = invoke(lambda_zip(python(source)), [entry("5"), entry("4")])
    assert [sample["aggregate_reward_score"] for sample in answered] == [0.0, 1.0]


def test_the_zip_is_small_and_the_same_each_time():
    config = documents()["metrics"]
    data = lambda_zip(config)
    assert len(data) < 100_000 < MAX_ZIP_BYTES == 5_000_000
    assert hashlib.sha256(data).digest() == hashlib.sha256(lambda_zip(json.loads(json.dumps(config)))).digest()
    packed = zipfile.ZipFile(io.BytesIO(data))
    assert json.loads(packed.read("grader.json")) == config
    assert {name.split("/")[0] for name in packed.namelist()} == {
        "LICENSE-nltk.txt",
        "LICENSE-rapidfuzz.txt",
        "grader.json",
        "grader_runtime",
        "lambda_function.py",
    }


def test_a_library_that_a_function_lacks_is_refused_with_its_line():
    config = multi(
        "m", {"p": python("import re\nimport numpy as np\n\n\ndef grade(sample, item):\n    return 1.0")}, "p"
    )
    with pytest.raises(GraderError) as refusal:
        lambda_zip(config)
    assert (refusal.value.field, str(refusal.value)) == (
        "graders.p.source",
        "graders.p.source: line 2: the reward function has no numpy, write it with the standard library.",
    )

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from graders_app.core.compiling import TARGETS, compile_grader, lambda_zip, openai_document, python_file
from graders_app.core.errors import GraderError
from graders_app.core.evaluate import make_item, make_sample, open_grader
from graders_app.core.spec import parse_grader
from tests.graders_app.core.compiling.cases import CONTEXT, checked, documents, multi
from tests.graders_app.core.compiling.conftest import run_file

REAL = Path(__file__).resolve().parents[5] / "shared" / "data" / "dev-rft-gsm8k" / "native" / "azure_graders"
JUDGED = {
    "type": "score_model",
    "name": "judge",
    "model": "judge",
    "input": [
        {"role": "system", "content": "Grade."},
        {"role": "user", "content": [{"type": "input_text", "text": "{{ sample.output_text }}"}]},
    ],
}


@pytest.mark.parametrize(
    ("model", "name", "value", "said"),
    [
        ("o3", "temperature", 0, "o3 thinks before it answers, so it takes none; leave it out."),
        ("gpt-5-mini", "top_p", 0.5, "gpt-5-mini thinks before it answers, so it takes none; leave it out."),
        ("gpt-4", "reasoning_effort", "low", "gpt-4 does not think before it answers, so it takes none; leave it out."),
        ("our-judge", "reasoning_effort", "low", ""),
        ("o3", "reasoning_effort", "low", ""),
        ("gpt-4.1", "temperature", 0, ""),
    ],
)
def test_a_judges_settings_are_those_its_model_takes(model: str, name: str, value: object, said: str) -> None:
    judge = {**JUDGED, "model": model, "sampling_params": {name: value}}
    if not said:
        assert openai_document(judge)["sampling_params"] == {name: value}
        return
    assert refused(openai_document, judge).endswith(said)
    within = multi("m", {"only": judge}, "only")
    assert f"graders.only.sampling_params.{name}" in refused(openai_document, within)


def refused(call, *arguments, **options) -> str:
    with pytest.raises(GraderError) as refusal:
        call(*arguments, **options)
    return str(refusal.value)


@pytest.mark.parametrize("platform", ["openai", "azure"])
@pytest.mark.parametrize("name", documents())
def test_a_document_stays_what_it_was_but_for_spaces_in_braces(name, platform):
    config = documents()[name]
    before = copy.deepcopy(config)
    if name == "correctness":
        for part in config["graders"].values():
            part["model"] = "gpt-4.1"
    made = openai_document(config, platform=platform)
    parse_grader(made)
    assert "{{ " not in json.dumps(made)
    if name != "correctness":
        assert config == before
        assert json.dumps(made) == json.dumps(config).replace("{{ ", "{{").replace(" }}", "}}")


def test_a_role_becomes_a_model_or_is_refused():
    assert openai_document(JUDGED, judge_model="gpt-4.1")["model"] == "gpt-4.1"
    assert JUDGED["model"] == "judge"
    assert openai_document({**JUDGED, "model": "o3"}, judge_model="gpt-4.1")["model"] == "o3"
    said = "model: judge is a role; name the model that judges."
    assert refused(openai_document, JUDGED) == said
    assert refused(lambda_zip, JUDGED) == said


def test_a_judges_range_is_mapped_by_the_formula():
    alone = openai_document({**JUDGED, "range": [1, 5], "pass_threshold": 0.5}, judge_model="gpt-4.1")
    assert (alone["type"], alone["name"], alone["pass_threshold"]) == ("multi", "judge", 0.5)
    assert alone["calculate_output"] == "(judge - 1) / 4"
    assert alone["graders"]["judge"]["range"] == [1, 5]
    assert "pass_threshold" not in alone["graders"]["judge"]
    parts = {"wide": {**JUDGED, "range": [-0.5, 1.5]}, "usual": JUDGED, "same": {**JUDGED, "range": [0, 1]}}
    made = openai_document(multi("all", parts, "max(wide,2) * usual ^ same"), judge_model="gpt-4.1")
    assert made["calculate_output"] == "max ( ((wide + 0.5) / 2) , 2 ) * usual ^ same"
    parse_grader(made)
    long = multi("long", parts, " + ".join(["wide", *["usual"] * 100, *["wide"] * 300, "same"]))
    assert refused(openai_document, long, judge_model="gpt-4.1").startswith("calculate_output: with the judges' ranges")


def test_a_model_of_another_platform_is_refused():
    nova = {**JUDGED, "model": "us.amazon.nova-premier-v1:0"}
    both = multi("m", {"accuracy": nova}, "accuracy")
    assert refused(openai_document, both, platform="azure") == (
        "graders.accuracy.model: 'us.amazon.nova-premier-v1:0' is a model of Bedrock, not of Azure."
    )
    assert refused(lambda_zip, {**JUDGED, "model": "gpt-4.1"}) == (
        "model: Bedrock has no model 'gpt-4.1'; name one such as us.amazon.nova-premier-v1:0."
    )
    for model in ("openai.gpt-oss-120b-1:0", "arn:aws:bedrock:us-east-1:1:inference-profile/x"):
        assert lambda_zip(JUDGED, judge_model=model)


def test_what_the_platforms_refuse_is_refused_here():
    judged = {**JUDGED, "model": "gpt-4.1", "sampling_params": {"temperature": 0, "max_tokens": 5}}
    assert refused(openai_document, judged).startswith("sampling_params.max_tokens: this is not one of max_completions")
    inside = multi("m", {"a": {**checked("eq", "a", "b"), "pass_threshold": 0.5}}, "a")
    assert "graders.a.pass_threshold" in refused(openai_document, inside)
    assert refused(openai_document, JUDGED, platform="bedrock") == "platform: choose one of openai, azure."
    assert refused(compile_grader, JUDGED, "moon").startswith("target: choose one of openai, azure, bedrock, python")


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_gives_the_same_bytes_twice(target):
    config = documents()["json_schema"]
    assert compile_grader(config, target) == compile_grader(copy.deepcopy(config), target)
    assert CONTEXT.total == 200


def test_the_file_says_what_it_cannot_read_and_takes_lines_from_a_pipe(tmp_path):
    path = tmp_path / "grader.py"
    path.write_text(
        python_file({**checked("eq", "{{sample.output_text}}", "ü"), "name": 'a "name" \\ """'}), encoding="utf-8"
    )
    good = json.dumps({"item": {}, "sample": {"output_text": "ü"}})
    done = run_file(path, stdin=f"{good}\n\nnot json\n[1]\n{good}\n")
    assert (done.returncode, done.stderr) == (1, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["reward"] for line in lines] == [1.0, None, None, 1.0]
    assert lines[2]["errors"][0]["message"] == "give the record as item and the answer as sample, both JSON objects."
    assert run_file(path, stdin=good).returncode == 0
    assert run_file(path, "--help").returncode == 2


def test_a_file_without_metrics_leaves_the_libraries_out():
    assert "rapidfuzz/" not in python_file(checked("eq", "a", "b"))
    assert len(python_file(checked("eq", "a", "b"))) < 60_000


def real(name: str) -> dict:
    path = REAL / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "item", "answer", "reward"),
    [
        (
            "clause_multi_grader.json",
            {"extracted_text": "The parties agree.", "clause_type": "Exclusivity"},
            '{"extracted_text": "The parties agree", "clause_type": "Exclusivity"}',
            1.0,
        ),
        ("medmcq_stringcheck_grader.json", {"reference_answer": "B"}, "B", 1.0),
        ("medmcq_stringcheck_grader.json", {"reference_answer": "B"}, "C", 0.0),
    ],
)
def test_published_graders_score_the_same_in_engine_file_and_lambda(name, item, answer, reward, tmp_path, invoke):
    config = real(name)
    assert openai_document(config, platform="azure") == config
    sample, whole = make_sample(answer), make_item(item, [], None)
    with open_grader(config) as grader:
        assert grader.grade(sample, whole).reward == reward
    path = tmp_path / "grader.py"
    path.write_text(python_file(config), encoding="utf-8")
    done = run_file(path, stdin=json.dumps({"item": item, "sample": sample}))
    assert json.loads(done.stdout)["reward"] == reward
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": answer}]
    (answered,), _log = invoke(lambda_zip(config), [{"id": "1", "messages": messages, "metadata": item}])
    assert answered[0]["aggregate_reward_score"] == reward


def test_the_published_judge_goes_to_azure_and_not_to_bedrock():
    config = real("clause_model_grader.json")
    assert openai_document(config, platform="azure") == config
    assert "Bedrock has no model 'gpt-4o-2024-08-06'" in refused(lambda_zip, config)

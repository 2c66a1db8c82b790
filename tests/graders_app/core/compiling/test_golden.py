"""The same 200 answers score the same in the engine, in OpenAI's document, in the Lambda zip and in the Python file."""

from __future__ import annotations

import json
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from graders_app.core.compiling import lambda_zip, openai_document, python_file
from graders_app.core.evaluate import JudgeAnswer, open_grader
from tests.graders_app.core.compiling.cases import answers, documents, judgement
from tests.graders_app.core.compiling.conftest import run_file

DOCUMENTS = documents()
JUDGED = [name for name, config in DOCUMENTS.items() if "score_model" in json.dumps(config)]
UNJUDGED = sorted(DOCUMENTS.keys() - set(JUDGED))


def by_engine(config: dict, pairs: list, **options) -> list[dict]:
    """What the engine says; source that cannot be loaded is refused there before anything is graded."""

    def judge(questions):
        return [JudgeAnswer(judgement(question.messages[-1]["content"])) for question in questions]

    with open_grader(config, judge=judge, **options) as grader:
        return [
            {"reward": result.reward, "sub_rewards": result.sub_rewards, "errors": errors_of(result.errors)}
            for result in grader.grade_many(pairs)
        ]


def errors_of(errors) -> list[tuple]:
    return [(error.component, error.kind, error.line, error.message) for error in errors]


def plain(errors) -> list[tuple]:
    return [(error["component"], error["kind"], error["line"], error["message"]) for error in errors]


def same(found: dict, wanted: dict) -> None:
    assert found["reward"] == (None if wanted["reward"] is None else pytest.approx(wanted["reward"], abs=1e-9))
    assert found["sub_rewards"] == pytest.approx(wanted["sub_rewards"], abs=1e-9)


def event_of(pairs) -> list[dict]:
    """An event of the shapes that are in circulation, in turn."""
    entries = []
    for at, (sample, item) in enumerate(pairs):
        text, tools = sample["output_text"], sample["output_tools"]
        content = [{"type": "text", "text": text}] if at % 3 else text
        answer = {"role": ("assistant", "nova_assistant")[at % 2], "content": content}
        fields = {key: value for key, value in item.items() if key not in ("messages", "user_message")}
        if at % 2 and isinstance(fields.get("reference_answer"), str):
            fields["reference_answer"] = {"text": fields["reference_answer"]}
        messages = [*item["messages"], {**answer, **({"tool_calls": tools} if tools else {})}]
        fields = {"metadata": fields} if at % 4 < 2 else fields
        entries.append({"id": str(at), "messages": messages, **fields})
    return entries


def check_lambda(answered: list[dict], log: list[dict], wanted: list[dict]) -> None:
    assert [entry["id"] for entry in answered] == [str(at) for at in range(len(wanted))]
    for entry, line, expected in zip(answered, log, wanted, strict=True):
        clamped = min(1.0, max(0.0, expected["reward"] or 0.0))
        assert entry["aggregate_reward_score"] == pytest.approx(clamped, abs=1e-9)
        metrics = {metric["name"]: metric["value"] for metric in entry["metrics_list"]}
        failed = metrics.pop("grader_error")
        same({"reward": line["reward"], "sub_rewards": metrics}, expected)
        assert failed == any(error[1] != "sample_parse_error" for error in expected["errors"])
        assert [(e["component"], e["kind"], e["line"]) for e in line["errors"]] == [e[:3] for e in expected["errors"]]


def test_the_cases_are_worth_it():
    """Ten documents at least, with rewards between 0 and 1, none, and every kind of failure that can be provoked."""
    pairs = answers()
    assert len(pairs) == 200
    assert len(DOCUMENTS) >= 15
    results = [result for name in UNJUDGED if name != "no python" for result in by_engine(DOCUMENTS[name], pairs)]
    assert len({result["reward"] for result in results}) > 100
    assert {error[1] for result in results for error in result["errors"]} == {
        "sample_parse_error",
        "invalid_variable_error",
        "python_grader_runtime_error",
        "formula_parse_error",
    }


@pytest.mark.parametrize("name", [name for name in UNJUDGED if name != "no python"])
def test_the_same_scores_everywhere(name, tmp_path, invoke):
    config, pairs = DOCUMENTS[name], answers()
    wanted = by_engine(config, pairs)

    document = json.loads(json.dumps(openai_document(config)))
    assert by_engine(document, pairs) == wanted

    (answered,), log = invoke(lambda_zip(config), event_of(pairs))
    check_lambda(answered, log, wanted)

    path, rows = tmp_path / "grader.py", tmp_path / "rows.jsonl"
    path.write_text(python_file(config), encoding="utf-8")
    rows.write_text("".join(json.dumps({"sample": sample, "item": item}) + "\n" for sample, item in pairs))
    done = run_file(path, str(rows))
    assert done.stderr == ""
    for line, expected in zip(done.stdout.splitlines(), wanted, strict=True):
        found = json.loads(line)
        same(found, expected)
        assert plain(found["errors"]) == expected["errors"]
    assert done.returncode == any(result["reward"] is None for result in wanted)


ACCURACY, COMPLETENESS = (
    {**DOCUMENTS["correctness"]["graders"][name], "model": "judge"} for name in ("accuracy", "completeness")
)
WIDE = {
    "alone": {**ACCURACY, "range": [1, 5], "pass_threshold": 0.5},
    "in a formula": {
        **DOCUMENTS["correctness"],
        "graders": {
            "accuracy": {**ACCURACY, "range": [-2, 2.5]},
            "completeness": COMPLETENESS,
        },
        "calculate_output": "max(0.25, accuracy ^ 2) + 0.5 * completeness - accuracy",
    },
}


@pytest.mark.parametrize("name", WIDE)
def test_a_judge_with_another_range_scores_the_same_on_the_platforms(name):
    """They put its own number into the formula, so the document maps it there."""
    config, pairs = WIDE[name], answers()
    wanted = by_engine(config, pairs)
    assert len({result["reward"] for result in wanted}) > 3
    document = openai_document(config, judge_model="gpt-4.1")
    for found, expected in zip(by_engine(document, pairs, raw_judges=True), wanted, strict=True):
        assert found["reward"] == pytest.approx(expected["reward"], abs=1e-9)
        assert found["errors"] == [
            ("judge" if name == "alone" else error[0], *error[1:]) for error in expected["errors"]
        ]


class Converse(BaseHTTPRequestHandler):
    """Bedrock's Converse as a judge: a forced tool call whose input is the judgement of the last message."""

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert request["toolConfig"]["toolChoice"] == {"tool": {"name": "grade"}}
        said = json.loads(judgement(request["messages"][-1]["content"][0]["text"]))
        tool = {"toolUse": {"toolUseId": "1", "name": "grade", "input": said}}
        body = {
            "output": {"message": {"role": "assistant", "content": [tool]}},
            "stopReason": "tool_use",
            "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
            "metrics": {"latencyMs": 1},
        }
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments):
        pass


@contextmanager
def converse():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Converse)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_judge_scores_the_same_in_the_lambda(invoke):
    config, pairs = DOCUMENTS["correctness"], answers()
    wanted = by_engine(config, pairs)
    assert {error[1] for result in wanted for error in result["errors"]} == {
        "model_grader_parse_error",
        "invalid_variable_error",
    }
    with converse() as address:
        environment = {
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": address,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
        }
        (answered,), log = invoke(lambda_zip(config), event_of(pairs), environment=environment, site=True)
    check_lambda(answered, log, wanted)


ASK = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("grader", sys.argv[1])
grader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(grader)
exec(sys.argv[2])
pairs = json.load(sys.stdin)
judged = grader.open_grader(lambda questions: [judgement(q["messages"][-1]["content"]) for q in questions])
print(json.dumps([judged.grade_many(pairs), grader.grade(*pairs[1])]))
"""


def test_a_judge_given_to_the_file_scores_the_same_and_none_is_an_error(tmp_path):
    import inspect
    import subprocess

    config, pairs = DOCUMENTS["correctness"], answers()
    path = tmp_path / "grader.py"
    path.write_text(python_file(config), encoding="utf-8")
    judge = "import json\nfrom hashlib import blake2b\n" + inspect.getsource(judgement)
    command = [sys.executable, "-I", "-S", "-c", ASK, str(path), judge]
    done = subprocess.run(command, input=json.dumps(pairs), capture_output=True, text=True, check=True)
    judged, alone = json.loads(done.stdout)
    for found, expected in zip(judged, by_engine(config, pairs), strict=True):
        same(found, expected)
        assert plain(found["errors"]) == expected["errors"]
    assert alone["reward"] is None
    assert [error["kind"] for error in alone["errors"]] == ["model_grader_server_error"] * 2
    assert alone["errors"][0]["message"] == "There is no judge here to ask."

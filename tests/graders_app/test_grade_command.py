"""``manage.py grade``: a file of answers in, a file of scores out, without a database."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from graders_app.batch import grade_file
from graders_app.core.evaluate import open_grader
from graders_app.lines import MAX_LINE, Line
from graders_app.side_by_side import WorkerLost, side_by_side
from tests.graders_app.conftest import EXACT, JUDGE, MULTI, PYTHON

ROOT = Path(__file__).resolve().parents[2]
RIGHT = {"item": {"reference_answer": "a"}, "sample": {"output_text": "a"}}
WRONG = {"item": {"reference_answer": "a"}, "sample": {"output_text": "b"}}
TOOLS = [{"type": "function", "function": {"name": "refund", "arguments": "{}"}}]


def write(path: Path, *rows) -> Path:
    data = b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)
    path.write_bytes(data)
    return path


@pytest.fixture
def grade(tmp_path):
    def run(config, *rows, **streams):
        arguments = [write(tmp_path / "rows.jsonl", *rows), "--grader", write(tmp_path / "grader.json", config)]
        arguments += ["--out", tmp_path / "scores.jsonl", "--report", tmp_path / "report.json"]
        out = io.StringIO()
        streams = {"stdout": out, "stderr": io.StringIO(), **streams}
        code, said = 0, ""
        try:
            call_command("grade", *map(str, arguments), **streams)
        except CommandError as error:
            code, said = error.returncode, str(error)
        return code, said, out.getvalue()

    return run


def scores(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]


def report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def test_scores_and_report(grade, tmp_path):
    code, said, out = grade(EXACT, RIGHT, WRONG, RIGHT, {"item": {}, "sample": {"output_text": "a"}})
    assert (code, said) == (0, "")
    assert out.startswith("3 of 4 answers scored: mean 0.667, standard deviation 0.471 (")
    assert scores(tmp_path)[:3] == [
        {"reward": 1.0, "sub_rewards": {"exact": 1.0}, "errors": []},
        {"reward": 0.0, "sub_rewards": {"exact": 0.0}, "errors": []},
        {"reward": 1.0, "sub_rewards": {"exact": 1.0}, "errors": []},
    ]
    assert scores(tmp_path)[3] == {
        "reward": None,
        "sub_rewards": {},
        "errors": [
            {
                "kind": "invalid_variable_error",
                "message": "{{item.reference_answer}} is not there.",
                "component": "",
                "line": None,
            }
        ],
    }
    found = report(tmp_path)
    assert list(found) == ["count", "mean", "std", "errors", "seconds"]
    assert (found["count"], found["errors"]) == (4, {"invalid_variable_error": 1})
    assert (found["mean"], found["std"]) == (pytest.approx(2 / 3), pytest.approx(0.4714045))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["grader.json", "report.json", "rows.jsonl", "scores.jsonl"]


def test_bad_lines_are_counted_and_the_others_graded(grade, tmp_path):
    code, said, out = grade(
        EXACT,
        b"\xef\xbb\xbf" + json.dumps(RIGHT).encode(),
        b"",
        b"{oops",
        b"[1]",
        b'{"item": 1, "sample": {"output_text": "a"}}',
        b'{"item": {}}',
        b'{"item": {}, "sample": {"output_text": 1}}',
        b'{"item": {}, "sample": {"output_text": "a", "output_tools": [1]}}',
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"item": {}, "sample": {"output_text": "' + b"x" * MAX_LINE + b'"}}',
        WRONG,
    )
    assert code == 1
    assert said == (
        "9 lines could not be read. Line 3: this is not JSON: "
        "Expecting property name enclosed in double quotes at line 1, column 2."
    )
    assert out.splitlines()[0].startswith("2 of 11 answers scored: mean 0.500")
    messages = [(line["errors"] or [{"message": ""}])[0]["message"] for line in scores(tmp_path)]
    assert messages[0] == messages[-1] == ""
    assert messages[2:] == [
        "Line 4: write a JSON object, in braces.",
        "Line 5: item: give the record as a JSON object.",
        "Line 6: sample: give the answer as a JSON object with output_text.",
        "Line 7: sample.output_text: give the answer's text.",
        "Line 8: sample.output_tools: give a list of tool calls.",
        "Line 9: it is not UTF-8 text.",
        "Line 10: this is nested too deeply.",
        "Line 11: it is longer than 16 MB.",
        "",
    ]
    assert report(tmp_path)["errors"] == {"unreadable_line": 9}


def test_a_file_without_lines_has_no_mean(grade, tmp_path):
    assert grade(EXACT)[0] == 0
    assert {**report(tmp_path), "seconds": 0} == {"count": 0, "mean": None, "std": None, "errors": {}, "seconds": 0}


def test_python_parts_run_in_the_jail_and_errors_have_lines(grade, tmp_path):
    rows = [
        {"item": {"reference_answer": "a", "wanted": ["a"]}, "sample": {"output_text": "a"}},
        {"item": {"reference_answer": "a", "wanted": []}, "sample": {"output_text": "a"}},
    ]
    assert grade(MULTI, *rows)[0] == 0
    first, second = scores(tmp_path)
    assert first == {"reward": 1.0, "sub_rewards": {"exact": 1.0, "words": 1.0}, "errors": []}
    assert (second["reward"], second["sub_rewards"]) == (0.5, {"exact": 1.0})
    assert [(e["kind"], e["component"], e["line"]) for e in second["errors"]] == [
        ("python_grader_runtime_error", "words", 4)
    ]


def test_tool_calls_and_the_user_message_reach_the_grader(grade, tmp_path):
    source = (
        "def grade(sample, item):\n"
        '    return float(sample["output_tools"][0]["function"]["name"] == item["user_message"])\n'
    )
    messages = [{"role": "user", "content": "refund"}]
    grade({**PYTHON, "source": source}, {"item": {"messages": messages}, "sample": {"output_tools": TOOLS}})
    assert scores(tmp_path)[0]["reward"] == 1.0


def test_a_judge_reports_that_it_has_no_connection(grade, tmp_path):
    assert grade(JUDGE, RIGHT)[0] == 0
    (line,) = scores(tmp_path)
    assert line["reward"] is None
    assert [e["kind"] for e in line["errors"]] == ["model_grader_server_error"]
    assert report(tmp_path)["errors"] == {"model_grader_server_error": 1}


@pytest.mark.parametrize(
    ("config", "code", "sentence"),
    [
        ({**EXACT, "operation": "equals"}, 1, "operation: choose one of"),
        (
            {**PYTHON, "source": "import socket\ndef grade(s, i): return 1"},
            1,
            "source: line 1: graders cannot import socket.",
        ),
        (b"{", 2, "is not JSON"),
        (b"\xff", 2, "is not UTF-8 text; give a grader document."),
    ],
)
def test_a_wrong_grader_is_one_sentence_and_nothing_is_written(grade, tmp_path, config, code, sentence):
    found, said, _out = grade(config, RIGHT)
    assert found == code
    assert sentence in said
    assert not (tmp_path / "scores.jsonl").exists()


def test_paths_that_cannot_be(tmp_path):
    rows, grader = write(tmp_path / "rows.jsonl", RIGHT), write(tmp_path / "g.json", EXACT)
    cases = [
        ([tmp_path / "none", "--grader", grader, "--out", tmp_path / "o"], "does not exist; check the path."),
        ([tmp_path, "--grader", grader, "--out", tmp_path / "o"], "is a folder; give a file."),
        ([rows, "--grader", tmp_path / "none", "--out", tmp_path / "o"], "does not exist; check the path."),
        ([rows, "--grader", grader, "--out", rows], "is named twice; give each output a file of its own."),
        ([rows, "--grader", grader, "--out", tmp_path / "x" / "o"], "can't be written; give a file in a folder"),
    ]
    for arguments, sentence in cases:
        with pytest.raises(CommandError) as refused:
            call_command("grade", *map(str, arguments))
        assert sentence in str(refused.value)
        assert refused.value.returncode == 2
    assert rows.read_bytes() == json.dumps(RIGHT).encode() + b"\n"


def test_no_database_is_needed_and_the_process_exits_as_promised(tmp_path):
    def process(*arguments):
        command = [sys.executable, "manage.py", "grade", *map(str, arguments)]
        environment = {**os.environ, "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    grader, out = write(tmp_path / "g.json", EXACT), tmp_path / "scores.jsonl"
    fine = process(write(tmp_path / "a.jsonl", RIGHT), "--grader", grader, "--out", out)
    assert (fine.returncode, fine.stderr, len(scores(tmp_path))) == (0, "", 1)
    bad = process(write(tmp_path / "b.jsonl", b"{"), "--grader", grader, "--out", out)
    assert (bad.returncode, bad.stderr.count("\n")) == (1, 1)
    assert process(tmp_path / "a.jsonl", "--grader", grader).returncode == 2


def test_a_progress_bar_on_a_terminal_only(grade):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen, plain = Terminal(), io.StringIO()
    grade(EXACT, RIGHT, stderr=screen, no_color=True)
    grade(EXACT, RIGHT, stderr=plain)
    assert screen.getvalue().endswith(f"\r[{'#' * 30}] 100%\n")
    assert plain.getvalue() == ""


@pytest.mark.parametrize("config", [EXACT, PYTHON], ids=["texts", "python"])
def test_what_is_written_does_not_depend_on_how_many_processes_share_it(tmp_path, config):
    """Python graders are given to one process, whatever is asked for."""
    rows = [
        {"item": {"reference_answer": "a", "wanted": ["a"]}, "sample": {"output_text": "ab"[n % 3 > 0]}}
        for n in range(900)
    ]
    rows[700] = b"{"
    rows[800] = {"item": {}, "sample": {"output_text": "a"}}
    path = write(tmp_path / "rows.jsonl", *rows)

    def graded(workers):
        lines, places = [], []
        with open_grader(config) as grader, path.open("rb") as source:
            report = grade_file(grader, source, lines.append, places.append, workers=workers)
        return lines, places, {**report.to_json(), "seconds": 0}, report.first_unreadable

    one = graded(1)
    assert graded(2) == one
    assert len(one[0]) == 900
    assert one[1][-1] == path.stat().st_size


def test_a_process_of_the_pool_that_is_killed_is_told():
    def batches():
        yield [Line(1, json.dumps(RIGHT).encode(), 1)]
        for child in multiprocessing.active_children():
            child.kill()
        for number in range(2, 50):
            yield [Line(number, json.dumps(RIGHT).encode(), 1)]

    with open_grader(EXACT) as grader, pytest.raises(WorkerLost, match="run it again with --workers 1"):
        list(side_by_side(grader.spec, batches(), 2))


def test_fewer_than_one_process_is_refused(grade):
    code, said, _out = grade(EXACT, RIGHT, workers=0)
    assert (code, said) == (2, "--workers must be at least 1.")


def test_memory_does_not_grow_with_the_file():
    row = json.dumps({"item": {"reference_answer": "a", "filler": "x" * 2000}, "sample": {"output_text": "a"}})

    def peak(lines: int) -> int:
        class Endless(io.RawIOBase):
            left = lines

            def readline(self, limit=-1):
                self.left -= 1
                return row.encode() + b"\n" if self.left >= 0 else b""

        with open_grader(EXACT) as grader:
            tracemalloc.start()
            report = grade_file(grader, Endless(), lambda line: None, lambda done: None)
            _now, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert (report.count, report.mean) == (lines, 1.0)
        return most

    assert peak(4000) < 1.3 * peak(1000)

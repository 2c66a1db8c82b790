from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

ROOT = Path(__file__).resolve().parents[2]
GOOD = {"messages": [{"role": "user", "content": "Where is my parcel?"}], "order": 7}
SHORT = {"messages": [{"role": "user", "content": "hi"}]}


def write(path: Path, *rows) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def run(*arguments: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("sanitize_traces", *map(str, arguments), stdout=out, stderr=err)
    except SystemExit as stop:
        return int(stop.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_files_in_valid_and_rejected_records_and_a_report_out(tmp_path):
    path = write(tmp_path / "rows.jsonl", GOOD, SHORT, "oops", GOOD)
    out, rejected, report = (tmp_path / name for name in ("valid.jsonl", "rejected.jsonl", "report.json"))
    code, said, trouble = run(path, "--out", out, "--rejected", rejected, "--report", report)
    assert (code, trouble) == (0, "")
    assert said.splitlines()[0].startswith("1 of 3 records are valid (")
    assert [line.split() for line in said.splitlines()[1:4]] == [
        ["1", "User", "message", "too", "short", "(user_message_too_short)"],
        ["1", "Duplicate", "(duplicate)"],
        ["1", "lines", "that", "could", "not", "be", "read"],
    ]
    assert lines(out) == [{"input": {"messages": GOOD["messages"]}, "fields": {"order": 7}}]
    assert [(line["line"], line.get("code")) for line in lines(rejected)] == [
        (2, "user_message_too_short"),
        (3, None),
        (4, "duplicate"),
    ]
    written = json.loads(report.read_text())
    assert set(written) == {
        "timestamp", "total", "valid", "rejected", "rejection_rate", "errors_by_type", "duplicates_removed",
        "near_duplicates", "tokens", "pii", "secrets", "recommendations", "records_with", "formats", "unreadable",
        "seconds",
    }  # fmt: skip
    assert (written["formats"], written["unreadable"], written["pii"]) == ({"chat": 3}, 1, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rejected.jsonl", "report.json", "rows.jsonl", "valid.jsonl"]


def test_what_it_writes_it_reads(tmp_path):
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    run(write(tmp_path / "rows.jsonl", GOOD, SHORT), "--out", first)
    assert run(first, "--out", second)[0] == 0
    assert first.read_bytes() == second.read_bytes()


def test_a_bad_file_is_one_sentence_and_exit_code_one(tmp_path):
    good = write(tmp_path / "good.jsonl", GOOD)
    out = tmp_path / "valid.jsonl"
    code, said, trouble = run(tmp_path / "none.jsonl", good, "--out", out)
    assert (code, trouble) == (1, "none.jsonl does not exist; check the path.\n")
    assert (said.splitlines()[0][:24], len(lines(out))) == ("1 of 1 records are valid", 1)


def test_a_file_that_ends_too_early_is_told(tmp_path):
    packed = gzip.compress((json.dumps(GOOD) + "\n" + json.dumps(SHORT) + "\n").encode(), mtime=0)
    path = tmp_path / "rows.gz"
    path.write_bytes(packed[:-8])
    code, said, trouble = run(path)
    assert (code, said.splitlines()[0][:24]) == (1, "1 of 2 records are valid")
    assert trouble == "rows.gz: The compressed file ends too early; the lines before this one were read.\n"


def test_options_reach_the_rules(tmp_path):
    long = "Please tell me where the parcel with my new shoes is now"
    rows = [SHORT, *({"messages": [{"role": "user", "content": text}]} for text in (long, long + " please"))]
    path = write(tmp_path / "rows.jsonl", *rows)
    assert run(path)[1].startswith("1 of 3")
    assert run(path, "--near-duplicates", "off")[1].startswith("2 of 3")
    assert run(path, "--near-duplicates", "0.99", "--min-user-message-length", 2)[1].startswith("3 of 3")
    assert run(path, "--max-tokens", 5)[1].startswith("0 of 3")
    assert run(path, "--format", "canonical")[1].startswith("0 of 3")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--near-duplicates", "1.5"],
        ["--near-duplicates", "0"],
        ["--near-duplicates", "yes"],
        ["--format", "csv"],
        ["--max-tokens", "0"],
        ["--min-user-message-length", "-1"],
        ["--max-tokens", "many"],
    ],
)
def test_wrong_options_are_refused_before_anything_is_read(tmp_path, arguments):
    out = tmp_path / "valid.jsonl"
    with pytest.raises(CommandError):
        run(write(tmp_path / "rows.jsonl", GOOD), "--out", out, *arguments)
    assert not out.exists()


def test_an_output_may_not_overwrite_an_input_or_another_output(tmp_path):
    path = write(tmp_path / "rows.jsonl", GOOD)
    before = path.read_bytes()
    for arguments in (["--out", path], ["--out", tmp_path / "a", "--report", tmp_path / "a"]):
        with pytest.raises(CommandError, match=r"is named twice; give each output a file of its own\.$") as refused:
            run(path, *arguments)
        assert refused.value.returncode == 2
    with pytest.raises(CommandError, match=r"can't be written; give a file in a folder that exists\.$"):
        run(path, "--out", tmp_path / "none" / "valid.jsonl")
    assert path.read_bytes() == before


def started(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "sanitize_traces", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_exit_codes_of_the_process(tmp_path):
    path = write(tmp_path / "rows.jsonl", GOOD)
    fine, refused, wrong = started(path), started(path, tmp_path), started(path, "--near-duplicates", "2")
    assert (fine.returncode, fine.stderr) == (0, "")
    assert (refused.returncode, refused.stderr) == (1, f"{tmp_path.name} is a folder; give a file.\n")
    assert wrong.returncode == 2
    assert wrong.stderr.endswith("must be a number above 0 and at most 1, or off\n")


def test_a_progress_bar_on_a_terminal_only(tmp_path):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    path = write(tmp_path / "rows.jsonl", GOOD)
    screen = Terminal()
    call_command("sanitize_traces", str(path), stdout=io.StringIO(), stderr=screen, no_color=True)
    assert screen.getvalue().endswith(f"\r[{'#' * 30}] 100%\n")

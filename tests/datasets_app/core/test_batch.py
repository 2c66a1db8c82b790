from __future__ import annotations

import json
import random
from pathlib import Path

from datasets_app.core.batch import Sinks, sanitize_files
from datasets_app.core.judging import Judged
from datasets_app.core.records import loads
from datasets_app.core.sanitizing import CODES, SanitizeConfig
from tests.datasets_app.core.real_data import real

CONFIG = SanitizeConfig()


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def write(path: Path, *rows) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def run(paths: list[Path], config: SanitizeConfig = CONFIG, **options):
    valid: list[Judged] = []
    refused: list[dict] = []
    trouble: list[str] = []
    offsets: list[int] = []
    sinks = Sinks(valid.append, refused.append, trouble.append, offsets.append)
    report = sanitize_files(paths, config, sinks=sinks, **options)
    return report, valid, refused, trouble, offsets


def test_every_record_ends_in_one_place(tmp_path):
    question = "Where is the parcel with my new shoes, please? I ordered it on Monday."
    first = write(tmp_path / "first.jsonl", {"messages": [user(question)]}, {"messages": [user("hi")]}, "oops")
    second = write(
        tmp_path / "second.jsonl",
        {"input": {"messages": [user(question.upper())]}, "output": {"messages": []}},
        {"input": {"messages": [user(question + " Thanks!")]}, "output": {"messages": []}},
    )
    report, valid, refused, trouble, offsets = run([first, second])
    assert [loads(found.body).messages for found in valid] == [[user(question)]]
    assert [(r["file"], r["line"], r.get("code", r.get("reason"))) for r in refused] == [
        (str(first), 2, "user_message_too_short"),
        (str(first), 3, "Not valid JSON: Expecting value at character 1."),
        (str(second), 1, "duplicate"),
        (str(second), 2, "near_duplicate"),
    ]
    assert refused[0] == {
        "file": str(first),
        "line": 2,
        "verdict": "invalid",
        "code": "user_message_too_short",
        "detail": "Message 1 (user) has 2 characters; the minimum is 10.",
        "issues": [
            {"code": "user_message_too_short", "detail": "Message 1 (user) has 2 characters; the minimum is 10."}
        ],
        "record": {"input": {"messages": [user("hi")]}},
    }
    assert refused[1]["text"] == "oops"
    assert refused[2]["detail"] == "Same conversation as first.jsonl line 1, which is kept."
    assert refused[2]["verdict"] == "duplicate"
    assert (report.total, report.valid, report.rejected, report.unreadable) == (4, 1, 3, 1)
    assert report.formats == {"chat": 2, "canonical": 2}
    assert list(report.errors_by_type) == ["user_message_too_short", "duplicate", "near_duplicate"]
    assert trouble == []
    assert offsets[-1] == first.stat().st_size + second.stat().st_size


def test_one_bad_file_does_not_stop_the_others(tmp_path):
    good = write(tmp_path / "good.jsonl", {"messages": [user("Where is my parcel?")]})
    empty = write(tmp_path / "empty.jsonl")
    report, valid, _, trouble, _ = run([tmp_path / "none.jsonl", empty, tmp_path, good])
    assert (report.total, len(valid)) == (1, 1)
    assert trouble == [
        "none.jsonl does not exist; check the path.",
        "empty.jsonl is empty.",
        f"{tmp_path.name} is a folder; give a file.",
    ]


def test_duplicates_of_invalid_records_are_not_kept_back(tmp_path):
    """A record that is invalid for another reason must not make a valid one a duplicate."""
    row = {"messages": [user("Where is my parcel?")]}
    path = write(tmp_path / "rows.jsonl", {**row, "reference_answer": None}, {**row, "reference_answer": "label"})
    report, valid, *_ = run([path])
    assert report.errors_by_type == {"reference_answer_null": 1}
    assert [loads(found.body).reference_answer for found in valid] == ["label"]


def test_near_duplicates_can_be_off(tmp_path):
    long = "Please tell me where the parcel with my new shoes is now"
    path = write(tmp_path / "rows.jsonl", {"messages": [user(long)]}, {"messages": [user(long + " please")]})
    assert run([path])[0].near_duplicates == 1
    assert run([path], SanitizeConfig(near_duplicates=None))[0].valid == 2


def test_the_report_does_not_depend_on_how_a_file_is_packed_or_cut(tmp_path):
    rng = random.Random(4)
    words = ["red", "blue", "green", "old", "new", "box", "shoe"]
    rows = [{"messages": [user(" ".join(rng.choices(words, k=12)))]} for _ in range(300)]
    whole = write(tmp_path / "whole.jsonl", *rows)
    listed = tmp_path / "listed.json"
    listed.write_text(json.dumps(rows))
    parts = [write(tmp_path / f"part{n}.jsonl", *rows[n * 100 : n * 100 + 100]) for n in range(3)]
    counts = [
        (report.total, report.errors_by_type, report.tokens) for report, *_ in (run([whole]), run([listed]), run(parts))
    ]
    assert counts[0][0] == 300
    assert counts[0] == counts[1] == counts[2]


def test_real_files_together():
    report, valid, refused, trouble, _ = run(
        [real("dev-labelled", "banking77_traces.jsonl"), real("dev-rft-gsm8k", "raw_traces.jsonl")]
    )
    # Two models answered each of the 1,319 questions of the second file: the prompts are the same.
    assert (report.total, report.valid, report.errors_by_type) == (
        5718,
        4394,
        {"duplicate": 1320, "near_duplicate": 4},
    )
    assert (len(valid), len(refused), trouble) == (4394, 1324, [])
    assert {line["code"] for line in refused} <= set(CODES)

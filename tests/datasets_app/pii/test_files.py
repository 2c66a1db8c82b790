"""``sanitize_traces --pii``: files are counted or redacted in one pass, the same for any number of processes."""

from __future__ import annotations

import json
import pickle
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_app.core.batch import BatchReport, Sinks, sanitize_files
from datasets_app.core.pii.kinds import REVIEWED
from datasets_app.core.pii.sweeping import Pii, Sweep
from datasets_app.core.pii.traces import findings
from datasets_app.core.records import Trace, dumps, encode_json, loads
from datasets_app.core.sanitizing import SanitizeConfig
from tests.datasets_app.pii.examples import _KEYS, EXAMPLES
from tests.datasets_app.pii.test_dataset import LINES
from tests.datasets_app.test_sanitize_traces import run
from tests.factories import record, write_lines

CONFIG = SanitizeConfig()
KEY = _KEYS["openai_key"][0]


@dataclass
class Written:
    report: BatchReport
    valid: list[str] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)

    @property
    def users(self) -> list[str]:
        return [loads(line).messages[-1]["content"] for line in self.valid]

    @property
    def counts(self) -> tuple[dict[str, int] | None, dict[str, int] | None]:
        return self.report.pii, self.report.secrets


def sanitized(*paths: Path, pii: Pii = Pii.REPORT, workers: int = 1) -> Written:
    valid: list[str] = []
    refused: list[dict[str, Any]] = []
    sinks = Sinks(valid=lambda found: valid.append(found.body), refused=refused.append)
    report = sanitize_files(list(paths), CONFIG, pii=pii, sinks=sinks, workers=workers)
    return Written(report, valid, refused)


def made_lines(seed: int, count: int) -> list[Any]:
    """Records with and without findings, some of them broken, repeated, or of a shape that goes the long way."""
    source = random.Random(seed)
    lines: list[Any] = []
    for number in range(count):
        words = f"Request {number} of “{source.random()}”\n\tsays: "
        words += " and ".join(text for _, _, text in source.choices(EXAMPLES, k=source.randint(0, 2)))
        kind = source.randrange(8)
        if kind == 0:
            lines.append('{"messages": [' + json.dumps(words))
        elif kind == 1:
            lines.append(record("no", metadata={"note": words}))
        elif kind == 2 and lines:
            lines.append(source.choice(lines))
        else:
            extra = {"conversation": {"deep": [words]}} if kind == 3 else {}
            lines.append(record(words, metadata={"customerPhone": "555 0100 200"} if kind == 4 else {}, **extra))
    return lines


def test_a_report_counts_records_by_kind_as_a_dataset_does(tmp_path: Path) -> None:
    found = sanitized(write_lines(tmp_path / "t", *LINES))
    assert found.counts == ({"email": 2, "phone": 1}, {"openai_key": 1})
    assert [sentence.partition(" (")[0] for sentence in found.report.recommendations] == [
        "1 of 4 records",
        "2 of 4 records",
    ]
    off = sanitized(write_lines(tmp_path / "t", *LINES), pii=Pii.OFF)
    assert (off.counts, off.report.recommendations, off.valid) == ((None, None), [], found.valid)


def test_redacting_puts_one_placeholder_for_one_value_into_all_that_is_written(tmp_path: Path) -> None:
    first = write_lines(
        tmp_path / "first",
        record("Write to Joe@shop.example about https://shop.example/orders, please."),
        record("x", metadata={"mail": "ann@shop.example"}),
        '{"messages": ["bob@shop.example"',
    )
    second = write_lines(tmp_path / "second", record(f"It is joe@shop.example with {KEY} now."))
    found = sanitized(first, second, pii=Pii.REDACT)
    assert found.users == [
        "Write to <EMAIL_1> about https://shop.example/orders, please.",
        "It is <EMAIL_1> with <OPENAI_KEY_1> now.",
    ]
    assert found.refused[0]["record"]["metadata"] == {"mail": "<EMAIL_2>"}
    assert found.refused[1]["text"] == '{"messages": ["<EMAIL_3>"'
    assert found.counts == ({"email": 3, "url": 1}, {"openai_key": 1})
    assert found.report.recommendations == []  # there is nothing left to do about them


def test_placeholders_do_not_depend_on_what_else_is_written(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "t", *made_lines(3, 60))
    valid: list[str] = []
    sanitize_files([path], CONFIG, pii=Pii.REDACT, sinks=Sinks(valid=lambda found: valid.append(found.body)))
    assert valid == sanitized(path, pii=Pii.REDACT).valid


@pytest.mark.parametrize("pii", list(Pii))
def test_any_number_of_processes_writes_the_same_bytes(tmp_path: Path, pii: Pii) -> None:
    path = write_lines(tmp_path / "t", *made_lines(5, 700))
    files = [tmp_path / name for name in ("out", "rejected")]
    written = []
    for workers in (1, 2, 3):
        arguments = ("--out", files[0], "--rejected", files[1], "--workers", workers, "--pii", pii.value)
        assert run(path, *arguments)[0] == 0
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1] == written[2]
    assert (b"<EMAIL_1>" in b"".join(written[0])) == (pii is Pii.REDACT)


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_nothing_to_decide_about_is_left_in_a_redacted_record(seed: int) -> None:
    sweep, again = Sweep(redact=True), Sweep(redact=False)
    for line in made_lines(seed, 8):
        if isinstance(line, str):
            assert not [
                one for one in findings(Trace(data={"text": sweep.swept_text(line)})) if one.finding.kind in REVIEWED
            ]
            continue
        swept = sweep.swept(loads(encode_json(line)))
        assert loads(dumps(swept)) == swept
        again.swept(swept)
    assert again.held.personal == again.held.secrets == 0


def test_counting_keeps_no_value() -> None:
    sweep = Sweep(redact=False)
    trace = loads(encode_json(record(f"It is joe@shop.example with {KEY} now.")))
    assert sweep.swept(trace) is trace
    assert sweep.held.kinds == {"email": 1, "openai_key": 1}
    assert b"joe@shop" not in (kept := pickle.dumps(sweep))
    assert KEY.encode() not in kept


def test_the_command_says_what_it_found_and_what_it_did(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "t", record("Write to joe@shop.example, see https://shop.example/orders."))
    assert "records with e-mail addresses\n" in run(path)[1]
    said = run(path, "--pii", "redact")[1]
    assert [line.split(maxsplit=1)[1] for line in said.splitlines()[1:]] == [
        "records with e-mail addresses, redacted",
        "records with web addresses, left as they are",
    ]
    assert said.splitlines()[1:] != run(path, "--pii", "off")[1].splitlines()[1:] == []
    with pytest.raises(CommandError, match="invalid choice: 'maybe'"):
        run(path, "--pii", "maybe")

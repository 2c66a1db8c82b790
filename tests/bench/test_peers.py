"""The benchmarks compare equals: same data every time, and both sides find the same in it. Nothing is timed here."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.bench import data
from tests.bench.figures import Bar, Section
from tests.bench.peers import composed, naive, near, typed
from tests.bench.suites import graders, pii, sanitize
from tests.bench.suites import near as near_suite

COUNT = 700


@pytest.fixture(scope="module")
def lines():
    return list(data.made(COUNT))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return data.file_of(COUNT, tmp_path_factory.mktemp("bench"))


def test_the_same_seed_gives_the_same_bytes_and_a_longer_file_begins_with_the_shorter(lines, path):
    assert path.read_bytes() == b"".join(item.line + b"\n" for item in lines)
    assert list(data.made(100)) == lines[:100]
    assert list(data.made(100, seed=data.SEED + 1)) != lines[:100]


def test_records_have_the_verdicts_they_were_made_for(lines):
    codes = {"valid": "", "near_duplicate": "", "duplicate": ""} | data.BROKEN
    readable = [item for item in lines if codes[item.kind] is not None]
    found = [(item.kind, naive.check(data.msgspec.json.decode(item.line))) for item in readable]
    assert found == [(item.kind, codes[item.kind]) for item in readable]
    assert {item.kind for item in lines} == set(codes)


def test_the_naive_script_and_the_core_count_the_same_verdicts(lines, path):
    counts = sanitize.ours(str(path))()
    assert counts == sanitize.naive(str(path))()
    kinds = Counter(item.kind for item in lines)
    assert counts["duplicate"] == kinds["duplicate"]
    assert counts["valid"] == kinds["valid"] + kinds["near_duplicate"]
    assert counts["unreadable"] == kinds["cut_off"] + kinds["comma_missing"]


def test_the_bare_decode_takes_every_valid_line(lines, path):
    kinds = Counter(item.kind for item in lines)
    found = typed.decode(path)
    assert found["fits"] >= kinds["valid"] + kinds["near_duplicate"] + kinds["duplicate"]
    assert sum(found.values()) == COUNT


def test_the_exact_join_finds_what_comparing_all_pairs_finds(lines):
    texts = near_suite.texts(COUNT)[:300]
    sets = [near.shingles(text) for text in texts]
    kept, expected = [], []
    for number, own in enumerate(sets):
        earlier = next((other for other in kept if near.jaccard(own, sets[other]) >= 0.85), None)
        if earlier is None:
            kept.append(number)
        else:
            expected.append((number, earlier))
    assert near.exactly(texts, 0.85) == expected
    assert expected


def test_the_index_finds_the_near_duplicates_that_there_are():
    texts = near_suite.texts(COUNT)
    truth = near.exactly(texts, near_suite.THRESHOLD)
    recall, precision = near_suite.quality(near_suite.ours(COUNT)(), truth, texts)
    assert (recall, precision) == (1.0, 1.0)


def test_the_scan_and_the_loop_find_the_same_spans():
    found = pii.ours(300)()()
    assert found == pii.theirs(300)()()
    assert {"email", "card", "iban"} <= {kind for _, kind, _, _ in found}


def test_the_grader_and_the_reference_libraries_score_alike():
    assert graders.equal(graders.ours(50)(), composed.scores(graders.pairs(50)))


def test_a_section_is_written_as_it_was_kept():
    section = Section(
        "Near", [Bar("a ÷ b", "0.1", "≤ 0.2", True)], [(("x",), [("1",)])], ["Said."], "now", "abc", "make"
    )
    assert Section.from_json(section.as_json()) == section
    assert section.as_markdown().splitlines()[:5] == [
        "## Near",
        "",
        "| what | measured | bar |  |",
        "| --- | --- | --- | --- |",
        "| a ÷ b | 0.1 | ≤ 0.2 | holds |",
    ]

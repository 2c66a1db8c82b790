"""The sample dataset: what the docstring of its generator promises, read from the files that are committed."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations, pairwise
from typing import Any

import pytest

from datasets_app.core import dedupe, records, sanitizing, tokens
from datasets_app.core.reading import Rejected, read_traces
from datasets_app.sample import EXAMPLE_TURNS, LABELS, SAMPLE_PATH, SMALL_PATH, SYSTEM_PROMPT
from datasets_app.sample import generate as sample

PREFIX_LENGTH = 1 + 2 * len(EXAMPLE_TURNS)


@pytest.fixture(scope="module")
def clean() -> list[dict[str, Any]]:
    return [record for record, code in sample.generate_with_codes() if not code]


def conversation(record: dict[str, Any]) -> list[dict[str, Any]]:
    return record["input"]["messages"][PREFIX_LENGTH:]


def user_text(record: dict[str, Any]) -> str:
    return "\n".join(message["content"] for message in conversation(record) if message["role"] == "user")


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[at : at + 3]) for at in range(len(words) - 2)} or {tuple(words)}


def read(path: Any) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_the_file_is_what_the_generator_makes() -> None:
    assert read(SAMPLE_PATH) == sample.sample_lines()
    assert SAMPLE_PATH.stat().st_size < 2_000_000


def test_the_small_file_is_what_the_generator_makes() -> None:
    assert read(SMALL_PATH) == [sample.as_line(record) for record in sample.generate_small()]


def test_two_lines_are_cut_off_and_the_others_are_the_records_in_order() -> None:
    readable, cut_off = [], []
    for line in read(SAMPLE_PATH):
        try:
            readable.append(json.loads(line))
        except json.JSONDecodeError:
            cut_off.append(line)
    assert readable == sample.generate()
    assert len(cut_off) == 2


def test_another_seed_makes_another_file() -> None:
    assert sample.sample_lines(8) != sample.sample_lines(7)


def test_labels_are_as_unbalanced_as_described(clean: list[dict[str, Any]]) -> None:
    assert Counter(record["reference_answer"] for record in clean) == {
        "shipping": 218,
        "billing": 136,
        "returns": 136,
        "account": 129,
        "technical": 133,
        "sales": 46,
    }
    assert all(record["metadata"]["label"] == record["reference_answer"] for record in clean)


def test_the_small_file_has_ten_of_each_label() -> None:
    labels = Counter(json.loads(line)["reference_answer"] for line in read(SMALL_PATH))
    assert labels == dict.fromkeys(LABELS, 10)


def test_every_clean_prompt_is_system_prompt_examples_and_a_conversation(clean: list[dict[str, Any]]) -> None:
    expected = [{"role": "system", "content": SYSTEM_PROMPT}]
    for text, label in EXAMPLE_TURNS:
        expected += [{"role": "user", "content": text}, {"role": "assistant", "content": label}]
    for record in [*clean, *sample.generate_small()]:
        assert record["input"]["messages"][:PREFIX_LENGTH] == expected
        assert conversation(record)[0]["role"] == conversation(record)[-1]["role"] == "user"
    assert [label for _, label in EXAMPLE_TURNS] == 2 * list(LABELS)
    assert SYSTEM_PROMPT.endswith("Answer with the one word only.")
    assert all(label in SYSTEM_PROMPT for label in LABELS)


def test_clean_user_messages_are_long_enough_and_hold_no_open_blank(clean: list[dict[str, Any]]) -> None:
    for record in [*clean, *sample.generate_small()]:
        for message in conversation(record):
            assert not re.search(r"[{}]", message["content"]) or message["role"] == "tool"
            if message["role"] == "user":
                assert len(message["content"].strip()) >= 10


def test_conversations_and_tool_calls(clean: list[dict[str, Any]]) -> None:
    with_tools = [record for record in clean if "tools" in record["input"]]
    several = [record for record in clean if "tools" not in record["input"] and len(conversation(record)) > 1]
    assert (len(several), len(with_tools)) == (88, 44)
    for record in with_tools:
        roles = [message["role"] for message in conversation(record)]
        assert roles == ["user", "assistant", "tool", "assistant", "user"]
        call = conversation(record)[1]["tool_calls"][0]
        assert conversation(record)[2]["tool_call_id"] == call["id"]
        assert json.loads(call["function"]["arguments"])["order_id"] == json.loads(
            conversation(record)[2]["content"]
        ).pop("order_id")


def test_ids_are_unique_and_times_rise(clean: list[dict[str, Any]]) -> None:
    assert len({record["span_id"] for record in clean}) == len(clean)
    times = [record["metadata"]["received_at"] for record in clean]
    assert all(earlier < later for earlier, later in pairwise(times))


@pytest.mark.parametrize("seed", [7, 11])
def test_no_two_clean_records_are_alike(seed: int) -> None:
    records = [record for record, code in sample.generate_with_codes(seed) if not code]
    sets = [shingles(user_text(record)) for record in records]
    examples = [shingles(text) for text, _ in EXAMPLE_TURNS]
    alike = [
        (user_text(records[one]), user_text(records[other]))
        for one, other in combinations(range(len(sets)), 2)
        if len(sets[one] & sets[other]) >= 0.6 * len(sets[one] | sets[other])
    ]
    assert alike == []
    assert not any(len(own & example) >= 0.3 * len(own | example) for own in sets for example in examples)


def test_every_code_that_needs_no_configuration_occurs() -> None:
    assert sample.expected_codes() == {
        "invalid_data_structure": 2,
        "missing_input": 1,
        "missing_messages": 1,
        "empty_messages": 1,
        "invalid_role": 3,
        "missing_content": 2,
        "last_not_user": 4,
        "empty_user_message": 4,
        "user_message_too_short": 4,
        "control_characters": 3,
        "missing_tool_call_id": 2,
        "orphan_tool_result": 2,
        "reference_answer_null": 3,
        "exceeds_max_tokens": 1,
        "duplicate": 4,
        "near_duplicate": 3,
    }


def test_sanitizing_gives_every_line_the_verdict_it_was_made_for() -> None:
    entries = list(read_traces(SAMPLE_PATH))
    rejected = [entry.line for entry in entries if isinstance(entry, Rejected)]
    parsed = [entry for entry in entries if not isinstance(entry, Rejected)]
    index = dedupe.DuplicateIndex(shared=dedupe.shared_lines(records.user_turns(entry.trace) for entry in parsed))
    verdicts = []
    for entry in parsed:
        issues = sanitizing.verdict(entry.trace, sanitizing.SanitizeConfig(), tokens.count(entry.trace))
        match = None if issues else index.add(entry.line, entry.trace)
        verdicts.append(match.kind if match else issues[0].code if issues else "")
    assert rejected == [211, 402]
    assert verdicts == [code for _, code in sample.generate_with_codes()]
    assert sum(entry.trace.split for entry in parsed) == 0
    assert set(sample.expected_codes()) == set(sanitizing.CODES) - {"missing_field"}


def test_the_small_file_is_valid_throughout() -> None:
    entries = list(read_traces(SMALL_PATH))
    index = dedupe.DuplicateIndex(shared=dedupe.shared_lines(records.user_turns(entry.trace) for entry in entries))
    config = sanitizing.SanitizeConfig()
    assert [sanitizing.verdict(entry.trace, config, tokens.count(entry.trace)) for entry in entries] == [[]] * 60
    assert [index.add(entry.line, entry.trace) for entry in entries] == [None] * 60

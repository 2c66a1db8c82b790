from __future__ import annotations

import random

import pytest
from datasketch import MinHash, MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_app.core.dedupe import DuplicateIndex, Match, Said, bands_for, compared_text, prints_of
from datasets_app.core.dedupe import shared_lines as shared_lines_of
from datasets_app.core.reading import Parsed, read_traces
from datasets_app.core.records import Trace, user_turns
from datasets_app.core.sanitizing import SanitizeConfig, verdict
from tests.datasets_app.core.real_data import real
from tests.datasets_app.core.strategies import any_json


def shared_lines(traces):
    return shared_lines_of(map(user_turns, traces))


def shingles(words: list[str]) -> set[str]:
    return {*map(" ".join, zip(words, words[1:], words[2:], strict=False))}


POOL = [f"word{n}" for n in range(400)]


def of(*turns: str, system: str = "", span: str = "") -> Trace:
    messages = [{"role": "system", "content": system}] if system else []
    for number, text in enumerate(turns):
        if number:
            messages.append({"role": "assistant", "content": f"Answer {number}"})
        messages.append({"role": "user", "content": text})
    return Trace({"input": {"messages": messages}}, span_id=span)


def matches(index: DuplicateIndex, traces: list[Trace]) -> list[Match | None]:
    return [index.add(number, trace) for number, trace in enumerate(traces)]


def jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b)


def edited(words: list[str], edits: int, rng: random.Random) -> list[str]:
    changed = list(words)
    for at in rng.sample(range(len(changed)), edits):
        changed[at] = rng.choice(POOL) + "x"
    return changed


def families(seed: int, count: int = 300) -> list[str]:
    """Texts of 20 to 120 words, most of them with one or two copies in which some words are other ones."""
    rng = random.Random(seed)
    texts = []
    for _ in range(count):
        words = rng.choices(POOL, k=rng.randint(20, 120))
        texts.append(" ".join(words))
        for _ in range(rng.randint(0, 2)):
            texts.append(" ".join(edited(words, rng.randint(0, len(words) // 12), rng)))
    rng.shuffle(texts)
    return texts


# --- exact -----------------------------------------------------------------------------------------------------------


def test_the_same_conversation_in_other_clothes_is_a_duplicate():
    index = DuplicateIndex()
    found = matches(index, [of("Where is my parcel?"), of("  where IS my\nparcel? "), of("Where is my letter?")])
    assert found == [None, Match("duplicate", 0, 1.0), None]
    assert len(index) == 2


def test_the_same_span_is_a_duplicate_whatever_it_says():
    found = matches(
        DuplicateIndex(None), [of("One two three", span="s1"), of("Four five six", span="s1"), of("x", span="s2")]
    )
    assert found == [None, Match("duplicate", 0, 1.0, same_span=True), None]


def test_other_roles_or_system_prompts_are_another_conversation():
    long = "Please tell me where the parcel with my new shoes is now"
    assert (
        matches(DuplicateIndex(None), [of(long), of(long, system="Be kind."), of(long, "Thanks a lot")]) == [None] * 3
    )


def test_records_without_messages_match_nothing():
    index = DuplicateIndex()
    assert matches(index, [Trace({}), Trace({}), Trace("oops", span_id="s"), Trace(None, span_id="s")]) == [None] * 4
    assert len(index) == 0


@given(st.lists(any_json, max_size=4))
def test_anything_can_be_added(values):
    index = DuplicateIndex()
    for value in values:
        for data in (value, {"input": {"messages": [value, {"role": "user", "content": value}]}}):
            index.add(1, Trace(data))


# --- near ------------------------------------------------------------------------------------------------------------


def test_user_texts_are_compared_not_system_prompts():
    system = "You are the assistant of a shop that sells shoes. " * 20
    question = "My order arrived yesterday but one of the two shoes in the box has a broken heel"
    found = matches(
        DuplicateIndex(),
        [
            of(question, system=system),
            of("Can I still change the delivery address of an order from this morning", system=system),
            of(question, system="Something else altogether."),
            of(question + " again", system=system),
        ],
    )
    assert [m and (m.kind, m.kept_key, round(m.similarity, 3)) for m in found] == [
        None,
        None,
        ("near_duplicate", 0, 1.0),
        ("near_duplicate", 0, 0.938),
    ]


def test_short_texts_can_only_be_exact_duplicates():
    assert matches(DuplicateIndex(), [of("Thank you"), of("Thank you", system="Be kind."), of("thank  YOU")]) == [
        None,
        None,
        Match("duplicate", 0, 1.0),
    ]
    assert shingles(["one", "two"]) == set()
    assert shingles(["one", "two", "three", "four"]) == {"one two three", "two three four"}


def test_off_means_exact_only():
    long = "Please tell me where the parcel with my new shoes is now"
    assert matches(DuplicateIndex(None), [of(long), of(long + " please")]) == [None, None]


def few_shot(question: str) -> Trace:
    examples = [" ".join(POOL[n * 12 : n * 12 + 12]) for n in range(12)]
    return of(*examples, question)


QUESTIONS = [
    "How do I reset the password of my account?",
    "The parcel with my shoes has not come yet.",
    "Why was my card charged two times this month?",
    "Can I change the address of an order?",
    "I want to talk to a person, please help.",
    "The size of the coat is wrong, what now?",
]


def test_example_turns_that_all_records_share_do_not_make_them_alike():
    traces = [few_shot(question) for question in QUESTIONS]
    assert [m.kind for m in matches(DuplicateIndex(), traces) if m] == ["near_duplicate"] * 5  # without a sample
    shared = shared_lines(traces)
    assert len(shared) == 12
    assert matches(DuplicateIndex(shared=shared), traces) == [None] * 6
    again = few_shot(QUESTIONS[2] + " Really?")
    assert compared_text(user_turns(again), shared).split()[:3] == ["why", "was", "my"]


def test_an_instruction_around_the_question_counts_as_shared_too():
    template = (
        "Classify the following customer message into exactly one of the known intents.\n{}\nAnswer with the label."
    )
    traces = [of(template.format(question)) for question in QUESTIONS]
    shared = shared_lines(traces)
    assert compared_text(user_turns(traces[0]), shared).split() == [
        "how",
        "do",
        "i",
        "reset",
        "the",
        "password",
        "of",
        "my",
        "account?",
    ]
    assert matches(DuplicateIndex(shared=shared), traces) == [None] * 6


def test_a_question_that_many_ask_is_still_compared():
    asked = "Where is my parcel with the shoes?"
    traces = [of(asked, system=f"Shop number {n}.") for n in range(8)]
    shared = shared_lines(traces)
    assert shared == {"where is my parcel with the shoes?"}
    assert [m.kept_key for m in matches(DuplicateIndex(shared=shared), traces) if m] == [0] * 7


def test_few_records_share_nothing():
    assert shared_lines([few_shot(question) for question in QUESTIONS[:4]]) == frozenset()
    assert shared_lines([]) == frozenset()


@pytest.mark.parametrize("threshold", [0.6, 0.85, 0.95])
def test_near_duplicates_are_those_that_brute_force_finds(threshold):
    """Same order, same rule (compare with what was kept, in order), every pair looked at."""
    texts = families(seed=5)
    kept: list[tuple[int, set[str]]] = []
    expected: dict[int, set[int]] = {}
    for number, text in enumerate(texts):
        own = shingles(text.split())
        near = {other for other, theirs in kept if jaccard(own, theirs) >= threshold}
        expected[number] = near
        if not near:
            kept.append((number, own))
    index = DuplicateIndex(threshold)
    hits = wrong = missed = 0
    for number, match in enumerate(matches(index, [of(text) for text in texts])):
        near = expected[number]
        hits += bool(match and near)
        missed += bool(near and not match)
        wrong += bool(match and not near)
        if match and match.kind == "near_duplicate" and near:
            assert match.similarity >= threshold
    assert hits > 50
    assert missed <= 0.02 * (hits + missed)
    assert wrong <= 0.02 * (hits + wrong)


def test_pairs_agree_with_datasketch():
    texts = families(seed=11, count=400)
    sets = [shingles(text.split()) for text in texts]
    lsh, hashes = MinHashLSH(threshold=0.85, num_perm=128), {}
    theirs = set()
    for number, own in enumerate(sets):
        hashes[number] = MinHash(num_perm=128)
        hashes[number].update_batch([shingle.encode() for shingle in own])
        for other in lsh.query(hashes[number]):
            if jaccard(own, sets[other]) >= 0.85:
                theirs.add((other, number))
        lsh.insert(number, hashes[number])
    ours = {pair for pair in theirs if matches(DuplicateIndex(0.85), [of(texts[n]) for n in pair])[1]}
    assert len(theirs) > 100
    assert len(ours) >= 0.98 * len(theirs)


@pytest.mark.parametrize("size", [2, 7, 50, 400])
def test_records_may_come_in_lots_of_any_size(size):
    traces = [of(text, span=f"span {number % 250}") for number, text in enumerate(families(seed=9, count=400))]
    traces[33:33] = [Trace({}), of("Thank you")]
    one_by_one = matches(DuplicateIndex(), traces)
    index, found = DuplicateIndex(), []
    for at in range(0, len(traces), size):
        lot = traces[at : at + size]
        prints = prints_of([Said.of(trace) for trace in lot], index.threshold)
        found += index.add_all(range(at, at + len(lot)), prints)
    assert found == one_by_one
    assert {match.kind for match in found if match} == {"duplicate", "near_duplicate"}
    assert {match.same_span for match in found if match} == {True, False}


def test_the_result_depends_on_nothing_but_the_order():
    traces = [of(text) for text in families(seed=3, count=100)]
    first = matches(DuplicateIndex(), traces)
    assert first == matches(DuplicateIndex(), traces)
    assert [m and m.similarity for m in first] == [m and m.similarity for m in matches(DuplicateIndex(), traces)]
    assert all(m.kept_key < number and first[m.kept_key] is None for number, m in enumerate(first) if m)


@settings(deadline=None, max_examples=50)
@given(st.floats(0.05, 1.0))
def test_bands_find_a_pair_at_the_threshold(threshold):
    bands = bands_for(threshold)
    rows = 128 // bands
    chance = 1 - (1 - threshold**rows) ** bands
    assert chance >= 0.99 or rows == 1


def test_real_questions():
    """Two labels apart, one question each; four pairs of the 3,080 differ in a word or two."""
    index = DuplicateIndex()
    found: dict[str, int] = {}
    for entry in read_traces(real("dev-labelled", "banking77_traces.jsonl")):
        assert isinstance(entry, Parsed)
        match = index.add(entry.line, entry.trace)
        if match:
            found[match.kind] = found.get(match.kind, 0) + 1
    assert found == {"duplicate": 1, "near_duplicate": 4}


def test_real_growing_conversations():
    """One line per call, so a session's history comes again and again: 21 of the 87 valid prompts repeat one before."""
    index = DuplicateIndex()
    kinds = []
    for entry in read_traces(real("dev-agent-airline", "raw_traces_calls.jsonl")):
        assert isinstance(entry, Parsed)
        if not verdict(entry.trace, SanitizeConfig()):
            match = index.add(entry.line, entry.trace)
            kinds.append(match.kind if match else "kept")
    assert (kinds.count("kept"), kinds.count("near_duplicate"), kinds.count("duplicate")) == (66, 21, 0)


spoken = st.text(st.characters(exclude_categories=["Cc"]) | st.sampled_from("a b\t\n\u00a0\u3000"), max_size=40)


@given(st.lists(spoken, max_size=6))
def test_shingles_are_the_words_three_by_three(texts: list[str]) -> None:
    prints = prints_of([Said("", "", [text]) for text in texts], 0.85)
    hashes: dict[tuple[str, ...], int] = {}
    for number, text in enumerate(texts):
        words = text.casefold().split()
        shingles = list(zip(words, words[1:], words[2:], strict=False))
        assert len(prints.of(number)) == len(shingles)
        for shingle, value in zip(shingles, prints.of(number).tolist(), strict=True):
            assert hashes.setdefault(shingle, value) == value
    assert len(set(hashes.values())) == len(hashes)

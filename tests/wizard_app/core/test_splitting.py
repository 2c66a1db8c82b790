from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard_app.core.splitting import (
    Leak,
    Row,
    SplitError,
    TopicSplit,
    leaks,
    quotas,
    split,
    validation_size,
)

GROUPS = st.lists(st.sampled_from([f"near:{i}" for i in range(8)]), max_size=2, unique=True).map(tuple)
ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", None]), st.booleans(), st.one_of(st.just(()), GROUPS)),
    max_size=80,
).map(lambda items: [Row(i, topic, generated, groups) for i, (topic, generated, groups) in enumerate(items)])


def plain(counts: dict[str, int], generated: bool = False) -> list[Row]:
    names = [name for name, count in counts.items() for _ in range(count)]
    return [Row(i, name, generated) for i, name in enumerate(names)]


@given(ROWS, st.integers(0, 5), st.floats(0.5, 0.95), st.booleans())
def test_every_row_is_on_exactly_one_side_in_the_order_given(rows, seed, ratio, stratify) -> None:
    result = split(rows, seed=seed, ratio=ratio, stratify=stratify)
    assert sorted(result.train + result.valid) == [row.id for row in rows]
    assert result.train == sorted(result.train)
    assert result.valid == sorted(result.valid)
    assert (result.report.train, result.report.valid) == (len(result.train), len(result.valid))


@given(ROWS, st.integers(0, 5))
def test_the_order_of_rows_changes_nothing(rows, seed) -> None:
    shuffled = random.Random(1).sample(rows, len(rows))
    assert set(split(rows, seed=seed).valid) == set(split(shuffled, seed=seed).valid)


@given(ROWS, st.integers(0, 5), st.booleans())
def test_what_belongs_together_stays_together(rows, seed, generated) -> None:
    result = split(rows, seed=seed, generated_in_validation=generated)
    valid = set(result.valid)
    assert leaks([r for r in rows if r.id not in valid], [r for r in rows if r.id in valid]) == []


@given(ROWS, st.integers(0, 5))
def test_generated_rows_and_their_twins_stay_out_of_validation(rows, seed) -> None:
    result = split(rows, seed=seed)
    valid = set(result.valid)
    assert not any(row.generated for row in rows if row.id in valid)


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 40), min_size=1), st.integers(0, 5))
def test_every_topic_with_two_rows_is_on_both_sides(counts, seed) -> None:
    report = split(plain(counts), seed=seed).report
    for name, topic in report.topics.items():
        assert topic.train >= 1
        if counts[name] >= 2:
            assert topic.valid >= 1
        else:
            assert topic.valid == 0
    assert report.not_validated == sorted(name for name, count in counts.items() if count == 1)


def test_a_large_dataset_is_split_as_asked_and_in_proportion() -> None:
    report = split(plain({"a": 700, "b": 200, "c": 100}), ratio=0.9).report
    assert report.topics == {
        "a": TopicSplit(train=630, valid=70),
        "b": TopicSplit(train=180, valid=20),
        "c": TopicSplit(train=90, valid=10),
    }
    assert (report.total, report.train, report.valid) == (1000, 900, 100)
    assert report.balance_before == pytest.approx(1 / 7)
    assert report.balance_after == pytest.approx(1 / 7)
    assert report.notes == []


def test_seeds_differ_and_repeat() -> None:
    rows = plain({"a": 100, "b": 100})
    assert split(rows, seed=1) == split(rows, seed=1)
    assert split(rows, seed=1).valid != split(rows, seed=2).valid


def test_a_row_more_moves_few_others() -> None:
    rows = plain({"a": 300})
    before, after = set(split(rows).valid), set(split([*rows, Row("new", "a")]).valid)
    assert len(before ^ after) <= 2


@pytest.mark.parametrize(
    ("total", "allowed", "size"),
    [
        (1000, 1000, 100),
        (240, 240, 24),
        (150, 150, 20),  # 10 % would be 15: the minimum of 20
        (40, 40, 12),  # the minimum would be half of it: 30 % at most
        (10, 10, 3),
        (2, 2, 1),
        (1, 1, 0),
        (0, 0, 0),
        (1000, 60, 30),  # mostly generated: half of the traces
        (1000, 0, 0),
    ],
)
def test_small_datasets_give_a_larger_share(total: int, allowed: int, size: int) -> None:
    assert validation_size(total, allowed, 0.9) == size


def test_a_larger_share_is_said() -> None:
    report = split(plain({"a": 30, "b": 30})).report
    assert report.valid == 18
    assert report.notes == [
        "Validation has 18 of 60 records (30%), over the 10% asked for, so that its mean says something.",
        "Validation has only 18 records: differences between models will be rough.",
    ]


def test_near_twins_that_would_have_leaked_are_counted() -> None:
    twins = [Row(i, "a", groups=(f"near:{i // 2}",)) for i in range(400)]
    report = split(twins).report
    assert report.valid == 40
    # of 40 rows drawn one by one nearly all leave their twin in training
    assert 30 <= report.moved <= 40
    assert f"{report.moved} had a near-twin or a turn of the same conversation in training" in report.notes[0]


def test_groups_are_joined_through_a_common_member() -> None:
    chain = [Row(0, "a", groups=("near:1",)), Row(1, "a", groups=("near:1", "conversation:9")),
             Row(2, "a", groups=("conversation:9",))]  # fmt: skip
    rows = chain + [Row(i, "a") for i in range(3, 60)]
    for seed in range(12):
        assert len({0, 1, 2} & set(split(rows, seed=seed).valid)) in (0, 3)


def test_one_group_only_stays_in_training() -> None:
    rows = [Row(i, "a", groups=("conversation:1",)) for i in range(30)]
    report = split(rows).report
    assert (report.train, report.valid, report.not_validated) == (30, 0, ["a"])


def test_generated_rows_count_in_the_report() -> None:
    rows = [Row(i, "a", generated=i % 2 == 0) for i in range(100)]
    kept_out = split(rows).report
    assert (kept_out.from_traces, kept_out.generated, kept_out.synthetic_share) == (50, 50, 0.5)
    assert kept_out.topics == {"a": TopicSplit(train=80, valid=20, generated=50)}
    allowed = split(rows, generated_in_validation=True)
    assert any(i % 2 == 0 for i in allowed.valid)


def test_without_strata_the_size_is_still_right() -> None:
    result = split(plain({"a": 150, "b": 50}), stratify=False)
    assert len(result.valid) == 20
    assert result.report.total == 200


def test_balance_leaves_rows_without_topic_out() -> None:
    rows = [*plain({"a": 40, "b": 20}), *(Row(f"n{i}") for i in range(500))]
    report = split(rows).report
    assert report.balance_before == 0.5
    assert set(report.topics) == {"a", "b", "uncategorized"}
    assert split(plain({"a": 40})).report.balance_before is None


def test_leaks_name_the_pair() -> None:
    train = [Row(1, groups=("near:1",)), Row(2, groups=("near:1", "near:2"))]
    valid = [Row(3, groups=("near:2", "near:1")), Row(4)]
    assert leaks(train, valid) == [Leak(3, 2, "near:2")]


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 300), min_size=1), st.integers(0, 200))
def test_quotas_add_up(sizes, target) -> None:
    shares = quotas(sizes, target)
    assert sum(shares.values()) == max(target, len(sizes))
    assert min(shares.values()) >= 1


def test_quotas_by_largest_remainder() -> None:
    assert quotas({"a": 50, "b": 30, "c": 20}, 7) == {"a": 4, "b": 2, "c": 1}
    assert Counter(quotas({"a": 0, "b": 0}, 5).values()) == {0: 2}


def test_wrong_options() -> None:
    with pytest.raises(SplitError, match="must be between 0 and 1"):
        split([], ratio=1.0)
    with pytest.raises(SplitError, match="appears twice"):
        split([Row(1), Row(1)])
    assert split([]).report.total == 0

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizard_app.core.statistics import (
    Bucket,
    PromptScores,
    TopicRewards,
    bucket,
    paired_interval,
    reward_statistics,
    spread,
    summarize,
    topic_rewards,
    win_tie_loss,
)

REWARDS = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def test_statistics_of_known_rewards() -> None:
    stats = reward_statistics([0.0, 0.2, None, 0.4, 1.0], bins=5)
    assert stats.count == 4
    assert stats.mean == pytest.approx(0.4)
    # population: mean of squares (0 + .04 + .16 + 1) / 4 = 0.3, minus 0.16
    assert stats.std == pytest.approx(0.14**0.5)
    assert (stats.min, stats.max, stats.median) == (0.0, 1.0, pytest.approx(0.3))
    # linear between neighbours: position 0.1 * 3 = 0.3 -> 0.06; 0.25 * 3 -> 0.15; 2.25 -> 0.55; 2.7 -> 0.82
    assert (stats.p10, stats.p25, stats.p75, stats.p90) == pytest.approx((0.06, 0.15, 0.55, 0.82))
    assert (stats.share_above_0, stats.share_at_1) == (0.75, 0.25)
    assert stats.histogram == [1, 1, 1, 0, 1]
    assert stats.edges == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])


def test_nothing_graded() -> None:
    stats = reward_statistics([None], bins=4)
    assert (stats.count, stats.mean, stats.histogram) == (0, 0.0, [0, 0, 0, 0])


def test_rewards_beyond_one_are_still_counted() -> None:
    stats = reward_statistics([-1.0, 0.5, 2.0], bins=3)
    assert stats.histogram == [1, 1, 1]
    assert (stats.edges[0], stats.edges[-1]) == (-1.0, 2.0)


@given(REWARDS)
def test_the_histogram_loses_nothing(rewards: list[float]) -> None:
    assert sum(reward_statistics(rewards).histogram) == len(rewards)


@pytest.mark.parametrize(
    ("rewards", "place"),
    [
        ((1.0, 1.0, 1.0, 1.0), Bucket.ALREADY_SOLVED),
        ((0.9, 1.0, 0.95, 1.0), Bucket.ALREADY_SOLVED),
        ((0.8, 0.8, 0.8, 0.8), Bucket.ALREADY_SOLVED),
        ((0.0, 0.0, 1.0, 0.0), Bucket.CAN_LEARN),
        ((0.4, 0.45, 0.4, 0.4), Bucket.CAN_LEARN),
        ((0.8, 1.0, 1.0, 1.0), Bucket.CAN_LEARN),
        ((0.0, 0.0, 0.0, 0.0), Bucket.OUT_OF_REACH),
        ((0.5, 0.5, 0.5, 0.5), Bucket.OUT_OF_REACH),
        ((0.1, 0.12, 0.1, 0.1), Bucket.OUT_OF_REACH),
        ((None, 0.0, 1.0), Bucket.CAN_LEARN),
        ((1.0,), None),
        ((None, 1.0), None),
        ((), None),
    ],
)
def test_buckets(rewards: tuple, place: Bucket | None) -> None:
    assert bucket(rewards) is place


def test_spread() -> None:
    assert spread((0.2, None, 0.9)) == pytest.approx(0.7)
    assert spread((0.2,)) is None


def test_a_summary_of_four_prompts() -> None:
    prompts = [
        PromptScores(1, (1.0, 1.0), "a", {"format": (1.0, 1.0), "label": (1.0, 1.0)}),
        PromptScores(2, (0.0, 1.0), "a", {"format": (1.0, 1.0), "label": (0.0, 1.0)}),
        PromptScores(3, (0.0, 0.0), "b", {"format": (0.0, 0.0), "label": (0.0, 0.0)}),
        PromptScores(4, (None, 0.5), None, {"format": (None, 1.0), "label": (None, 0.0)}),
    ]
    summary = summarize(prompts)
    assert (summary.prompts, summary.answers, summary.errors, summary.answers_per_prompt) == (4, 8, 1, 2)
    assert summary.error_share == 0.125
    assert summary.judged == 3
    assert summary.buckets == {Bucket.ALREADY_SOLVED: 1, Bucket.CAN_LEARN: 1, Bucket.OUT_OF_REACH: 1}
    assert summary.signal == pytest.approx(1 / 3)
    assert summary.component_signal == {"format": 0.0, "label": pytest.approx(1 / 3)}
    assert summary.rewards.mean == pytest.approx(3.5 / 7)
    assert summary.components["format"].mean == pytest.approx(5 / 7)
    assert summary.bucket_share(Bucket.CAN_LEARN) == pytest.approx(1 / 3)


def test_a_summary_of_nothing() -> None:
    summary = summarize([])
    assert (summary.prompts, summary.judged, summary.signal, summary.error_share) == (0, 0, 0.0, 0.0)
    assert summary.bucket_share(Bucket.CAN_LEARN) == 0.0


def test_topics_and_their_status() -> None:
    def rows(topic: str, reward: float, prompts: int) -> list[PromptScores]:
        return [PromptScores(f"{topic}{i}", (reward, reward), topic) for i in range(prompts)]

    groups = [("weak", 0.1, 3), ("fine", 0.5, 3), ("solved", 1.0, 3), ("few", 0.0, 2)]
    prompts = [prompt for group in groups for prompt in rows(*group)]
    result = topic_rewards([*prompts, PromptScores("none", (0.5, 0.5))])
    assert {name: topic.status for name, topic in result.items()} == {
        "few": "few",
        "fine": "ok",
        "solved": "solved",
        "weak": "weak",
    }
    assert result["fine"] == TopicRewards(mean=0.5, std=0.0, count=6, prompts=3, status="ok")


def test_the_bootstrap_of_a_constant_difference_has_no_width() -> None:
    interval = paired_interval([0.1, 0.5, 0.2], [0.3, 0.7, 0.4])
    assert interval == pytest.approx((0.2, 0.2, 0.2))


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    import numpy as np

    generator = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        differences = generator.normal(0.1, 0.3, size=60)
        interval = paired_interval([0.0] * 60, differences.tolist(), draws=1000, seed=seed)
        covered += interval.low <= 0.1 <= interval.high
    assert 0.90 <= covered / 200 <= 0.99


def test_the_bootstrap_is_paired_seeded_and_near_the_normal_interval() -> None:
    import numpy as np

    generator = np.random.default_rng(3)
    before = generator.random(400)
    after = before + generator.normal(0.05, 0.1, size=400)
    interval = paired_interval(before.tolist(), after.tolist(), seed=5)
    assert interval == paired_interval(before.tolist(), after.tolist(), seed=5)
    half = 1.96 * float((after - before).std()) / 20  # pairing removes the large variance of `before`
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.1)
    assert interval.mean == pytest.approx(float((after - before).mean()))


def test_a_comparison_needs_pairs() -> None:
    with pytest.raises(ValueError, match="needs the same prompts"):
        paired_interval([], [])
    with pytest.raises(ValueError, match="needs the same prompts"):
        paired_interval([1.0], [1.0, 2.0])


def test_win_tie_loss() -> None:
    assert win_tie_loss([0.0, 0.5, 1.0, 0.3], [1.0, 0.5, 0.0, 0.3 + 1e-9]) == (1, 2, 1)

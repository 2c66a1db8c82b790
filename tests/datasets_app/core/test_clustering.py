from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score

from datasets_app.core.clustering import best_size, candidates, cluster, neighbours, unit


def blobs(count: int, size: int, spread: float = 0.25, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """``count`` round groups of unit vectors around random directions."""
    generator = np.random.default_rng(seed)
    centres = unit(generator.normal(size=(count, 64)))
    truth = np.repeat(np.arange(count), size)
    noise = generator.normal(size=(len(truth), 64)) / 8.0
    return unit(centres[truth] + spread * noise), truth


@pytest.mark.parametrize("count", [2, 3, 6, 10, 20])
def test_the_number_of_groups_is_found(count: int) -> None:
    vectors, truth = blobs(count, 40)
    found = cluster(vectors)
    assert count <= found.k <= 1.5 * count + 1
    assert normalized_mutual_info_score(truth, found.labels) > 0.9
    assert max(found.scores.values()) > 0.1


def test_a_given_number_is_kept_and_labels_go_by_size() -> None:
    vectors, truth = blobs(4, 30)
    vectors, truth = vectors[15:], truth[15:]  # the first group is half as large
    found = cluster(vectors, k=4)
    assert found.k == 4
    assert found.scores == {}
    assert np.bincount(found.labels).tolist() == [30, 30, 30, 15]
    assert normalized_mutual_info_score(truth, found.labels) == pytest.approx(1.0)
    assert found.members(3).tolist() == sorted(range(15), key=lambda i: -found.confidence[i])


def test_the_same_seed_gives_the_same_answer() -> None:
    vectors, _ = blobs(5, 40, spread=0.6)
    first, second = cluster(vectors, seed=3), cluster(vectors, seed=3)
    assert np.array_equal(first.labels, second.labels)
    assert np.array_equal(first.confidence, second.confidence)


def test_no_structure_is_one_group() -> None:
    noise = unit(np.random.default_rng(0).normal(size=(300, 64)))
    found = cluster(noise)
    assert (found.k, set(found.labels.tolist())) == (1, {0})


def test_few_or_no_texts() -> None:
    assert cluster(np.zeros((0, 8), np.float32)).k == 0
    assert cluster(unit(np.random.default_rng(0).normal(size=(9, 8)))).labels.tolist() == [0] * 9
    with pytest.raises(ValueError, match="1 or more"):
        cluster(np.zeros((3, 8), np.float32), k=0)


def test_strays_are_junk_not_a_cluster() -> None:
    vectors, _ = blobs(4, 40)
    strays = unit(np.random.default_rng(9).normal(size=(2, 64)))
    found = cluster(np.vstack([vectors, strays]), k=6)
    assert set(found.labels[-2:].tolist()) == {-1}
    assert -1 not in found.labels[:-2]


def test_identical_texts_do_not_break_it() -> None:
    found = cluster(np.repeat(unit(np.eye(8, dtype=np.float32)[:2]), 30, axis=0))
    assert found.k == 2
    assert found.labels[:30].tolist() == [found.labels[0]] * 30


def test_many_clusters_get_an_upper_level() -> None:
    generator = np.random.default_rng(1)
    parents = unit(generator.normal(size=(4, 64)))
    centres = unit(parents[np.repeat(np.arange(4), 5)] + 0.4 * generator.normal(size=(20, 64)) / 8)
    truth = np.repeat(np.arange(20), 25)
    vectors = unit(centres[truth] + 0.1 * generator.normal(size=(500, 64)) / 8)
    found = cluster(vectors, k=20)
    assert len(found.groups) == found.k
    assert len(set(found.groups)) == 4
    upper = np.array(found.groups)[found.labels]
    assert normalized_mutual_info_score(np.repeat(np.arange(4), 125), upper) > 0.9
    assert cluster(blobs(6, 30)[0], k=6).groups == []


def test_texts_outside_the_sample_follow_their_neighbours() -> None:
    vectors, truth = blobs(3, 1500)
    found = cluster(vectors, k=3)
    assert len(found.labels) == 4500
    assert normalized_mutual_info_score(truth, found.labels) == pytest.approx(1.0)
    assert found.confidence.min() > 0.99


def test_confidence_is_lower_between_groups() -> None:
    vectors, _ = blobs(2, 50)
    between = unit(vectors[:1] + vectors[-1:])
    found = cluster(np.vstack([vectors, between]), k=2)
    assert found.confidence[-1] < 0.9 < found.confidence[:100].min()


def test_candidates_and_the_choice_among_them() -> None:
    assert candidates(16) == [2, 3, 4]
    assert candidates(80) == [2, 3, 4, 5, 6, 7, 8]
    assert max(candidates(100_000)) <= 150
    assert best_size({2: 0.2, 5: 0.461, 6: 0.5, 9: 0.49}) == 5  # within 8 % of 0.5
    assert best_size({2: 0.2, 5: 0.459, 6: 0.5}) == 6
    assert best_size({2: 0.01, 5: 0.031, 9: 0.04, 30: 0.045}) == 5  # within 0.015 where structure is weak
    assert best_size({2: -0.01, 5: 0.019}) == 1


def test_neighbours_are_exact() -> None:
    points = unit(np.random.default_rng(0).normal(size=(1500, 16)))
    index, cosine = neighbours(points, points, 3, skip_self=True)
    full = points @ points.T
    np.fill_diagonal(full, -2)
    best = np.argsort(-full, axis=1)[:, :3]
    assert np.array_equal(np.sort(index, axis=1), np.sort(best, axis=1))
    assert np.sort(cosine[7]) == pytest.approx(np.sort(full[7])[-3:], abs=1e-5)

import numpy as np
import pytest

from tessera.decide.bootstrap import interval, paired_interval, resampled
from tessera.metrics.counts import FScore

SCORES = [FScore("pooled", 1.0), FScore("per_image", 1.0), FScore("pooled", 1.0, 0.5)]
GROUPS = np.repeat([f"g{number:02d}" for number in range(12)], 3)


def _counts(seed: int, hits: int = 60) -> np.ndarray:
    """(36 rows, 2 classes, 3) of groups that are alike."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.poisson(mean, (len(GROUPS), 2)) for mean in (hits, 20, 25)], -1)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("seed", range(5))
def test_the_interval_of_groups_that_are_alike_holds_the_score(score: FScore, seed: int) -> None:
    counts = _counts(seed)
    low, high = interval(score.statistics(counts), GROUPS, score, 500, seed=0)
    assert low < score.of(counts) < high


@pytest.mark.parametrize("score", SCORES)
def test_equal_groups_leave_no_doubt(score: FScore) -> None:
    counts = np.tile(_counts(0)[:3], (12, 1, 1))
    np.testing.assert_allclose(interval(score.statistics(counts), GROUPS, score, 200, seed=0), score.of(counts))


@pytest.mark.parametrize("score", SCORES)
def test_resampling_equals_drawing_whole_groups_one_by_one(score: FScore) -> None:
    counts = _counts(0) * np.repeat(np.arange(1, 13), 3)[:, None, None]
    rng = np.random.default_rng(1)
    names = sorted(set(GROUPS))
    naive = [
        score.of(np.concatenate([counts[name == GROUPS] for name in rng.choice(names, len(names))]))
        for _ in range(1500)
    ]
    found = resampled(score.statistics(counts), GROUPS, score, 5000, seed=0)
    assert found.mean() == pytest.approx(np.mean(naive), abs=2e-3)
    assert found.std() == pytest.approx(np.std(naive), rel=0.1)


@pytest.mark.parametrize("score", SCORES)
def test_a_planted_difference_is_outside_0_and_none_inside(score: FScore) -> None:
    first, second = _counts(0), _counts(0)
    second[..., 0] += 8
    one, other, alike = (score.statistics(counts) for counts in (first, second, _counts(1)))
    low, high = paired_interval(one, other, GROUPS, score, 500, seed=0)
    assert 0 < low < score.of(second) - score.of(first) < high
    low, high = paired_interval(one, alike, GROUPS, score, 500, seed=0)
    assert low < 0 < high
    assert paired_interval(one, one.copy(), GROUPS, score, 500, seed=0) == [0, 0]


def test_one_group_has_no_interval() -> None:
    counts, groups = _counts(0), np.full(len(GROUPS), "g")
    assert interval(counts, groups, SCORES[0], 100, 0) is None
    assert paired_interval(counts, counts, groups, SCORES[0], 100, 0) is None


def test_the_interval_depends_on_the_seed_alone() -> None:
    first = interval(_counts(0), GROUPS, SCORES[0], 300, seed=4)
    assert first == interval(_counts(0), GROUPS, SCORES[0], 300, seed=4)
    assert first != interval(_counts(0), GROUPS, SCORES[0], 300, seed=5)

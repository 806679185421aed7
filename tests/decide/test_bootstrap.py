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
    low, high = interval(resampled(score.statistics(counts), GROUPS, score, 500, seed=0))
    assert low < score.of(counts) < high


@pytest.mark.parametrize("score", SCORES)
def test_equal_groups_leave_no_doubt(score: FScore) -> None:
    counts = np.tile(_counts(0)[:3], (12, 1, 1))
    found = interval(resampled(score.statistics(counts), GROUPS, score, 200, seed=0))
    np.testing.assert_allclose(found, score.of(counts))


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
    assert resampled(counts, groups, SCORES[0], 100, 0) is None and interval(None) is None
    assert paired_interval(counts, counts, groups, SCORES[0], 100, 0) is None


def test_scores_depend_on_the_seed_alone() -> None:
    first = resampled(_counts(0), GROUPS, SCORES[0], 300, seed=4)
    np.testing.assert_array_equal(first, resampled(_counts(0), GROUPS, SCORES[0], 300, seed=4))
    assert (first != resampled(_counts(0), GROUPS, SCORES[0], 300, seed=5)).any()


# A class that few groups hold

EIGHT, POOLED = np.array(list("abcdefgh")), FScore("pooled", 1.0)


def _rare(*, groups: int, wrong: int = 0) -> np.ndarray:
    """(8 groups, 2 classes, 3): one class in each group, Dice 0.8; the other in the first ones, Dice 0.5, with so many
    wrong pixels in the others."""
    counts = np.tile(np.array([[[4, 1, 1], [0, wrong, 0]]]), (8, 1, 1))
    counts[:groups, 1] = 2, 2, 2
    return counts


@pytest.mark.parametrize("wrong", [0, 1])
def test_resamples_without_a_class_are_left_out(wrong: int) -> None:
    """They would score 1 in it where nothing was predicted there, 0 where something was."""
    counts = _rare(groups=2, wrong=wrong)
    found = resampled(counts, EIGHT, POOLED, 20_000, 0)
    assert len(found) / 20_000 == pytest.approx(1 - 0.75**8, abs=0.01)
    low, high = interval(found)
    if not wrong:
        np.testing.assert_allclose([low, high], POOLED.of(counts))
    assert 0.4 < low <= POOLED.of(counts) <= high < 0.8
    low, high = paired_interval(counts, counts - [0, wrong, 0], EIGHT, POOLED, 500, 0)
    assert (low > 0) == bool(wrong) and high < 0.2


def test_a_class_of_one_group_has_no_interval() -> None:
    counts = _rare(groups=1)
    assert resampled(counts, EIGHT, POOLED, 100, 0) is None
    assert paired_interval(counts, counts, EIGHT, POOLED, 100, 0) is None
    of_rows = FScore("per_image", 1.0)  # a mean of rows, each of which has a score
    assert len(resampled(of_rows.statistics(counts), EIGHT, of_rows, 100, 0)) == 100


def test_a_class_of_no_group_stands_in_nobodys_way() -> None:
    assert len(resampled(_rare(groups=0), EIGHT, POOLED, 100, 0)) == 100

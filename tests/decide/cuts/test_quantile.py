import numpy as np
import pytest
from drawn import random_row

from tessera.decide.cuts.quantile import quantile, quantile_counts
from tessera.decide.histograms import histogram_of_states
from tessera.metrics.counts import count

SHARES = [0.0, 0.01, 0.1, 0.25, 0.5, 0.9, 1.0]


def test_the_most_probable_pixels_of_the_share_are_positive() -> None:
    plane = np.array([[[10, 80, 30, 40], [50, 60, 70, 20]]], np.uint8)
    assert quantile(plane, [0.25]).tolist() == [[[False, True, False, False], [False, False, True, False]]]
    assert quantile(plane, [0.5]).sum() == 4


def test_each_class_and_row_has_its_own_threshold() -> None:
    plane = np.arange(100, dtype=np.uint8).reshape(10, 10) + 1
    assert quantile(np.stack([plane, plane + 100]), [0.3, 0.3]).sum((1, 2)).tolist() == [30, 30]
    assert quantile(np.stack([plane, plane]), [0.1, 0.6]).sum((1, 2)).tolist() == [10, 60]


def test_equal_values_stay_together_and_the_nearest_share_is_taken() -> None:
    plane = np.array([[[200, 200, 200, 9]]], np.uint8)
    assert quantile(plane, [0.5]).sum() == 3  # 0.75 is nearer than 0
    assert quantile(plane, [0.2]).sum() == 0
    assert quantile(plane, [0.375]).sum() == 0  # as near to one as to the other: the smaller mask


@pytest.mark.parametrize("share", SHARES)
def test_what_is_0_is_never_positive_and_1_is_all_else(share: float) -> None:
    assert not quantile(np.zeros((1, 4, 7), np.uint8), [share]).any()
    full = quantile(np.full((1, 4, 7), 255, np.uint8), [share])
    assert full.all() == (share > 0.5) and full.any() == full.all()


@pytest.mark.parametrize("seed", range(3))
def test_counts_of_all_shares_equal_cutting_and_counting(seed: int) -> None:
    maps, target, valid = random_row(seed)
    expected = [count(quantile(maps, [share] * 3), target, valid) for share in SHARES]
    np.testing.assert_array_equal(quantile_counts(histogram_of_states(maps, target, valid), SHARES), expected)

import itertools

import numpy as np
import pytest
from drawn import random_row

from tessera.decide.cuts.triplet import triplet, triplet_counts
from tessera.decide.histograms import histogram_of_states
from tessera.metrics.counts import count


def test_a_class_is_there_if_enough_is_sure_and_then_reaches_down_to_the_bottom() -> None:
    plane = np.array([[[200, 210, 90, 80], [10, 90, 0, 150]]], np.uint8)
    reached = [[[True, True, True, False], [False, True, False, True]]]
    assert triplet(plane, [(200, 2, 90)]).tolist() == reached
    assert not triplet(plane, [(200, 3, 90)]).any()
    assert not triplet(plane, [(201, 2, 90)]).any()
    assert triplet(plane, [(255, 0, 90)]).tolist() == reached


def test_each_class_has_its_own_triplet() -> None:
    maps = np.full((2, 3, 5), 100, np.uint8)
    assert triplet(maps, [(100, 15, 100), (100, 16, 100)]).all((1, 2)).tolist() == [True, False]


def test_empty_and_full_maps() -> None:
    assert not triplet(np.zeros((1, 4, 7), np.uint8), [(1, 1, 1)]).any()
    assert triplet(np.full((1, 4, 7), 255, np.uint8), [(255, 28, 255)]).all()


@pytest.mark.parametrize("seed", range(3))
def test_counts_of_all_triplets_equal_cutting_and_counting(seed: int) -> None:
    maps, target, valid = random_row(seed)
    triplets = list(itertools.product((1, 130, 255), (0, 1, 60, 400, 10_000), (1, 80, 255)))
    expected = [count(triplet(maps, [one] * 3), target, valid) for one in triplets]
    np.testing.assert_array_equal(triplet_counts(histogram_of_states(maps, target, valid), triplets), expected)

import numpy as np
import pytest
from drawn import SPACING, draw, random_row

from tessera.decide.steps.largest import largest, largest_counts
from tessera.metrics.counts import count

VALUES = [1, 2, 7, 10_000]
THREE = draw(
    "##..##.",
    "##.....",
    "#....#.",
    "....###",
)


def test_the_largest_components_are_kept() -> None:
    assert largest(THREE, 1, SPACING).sum() == 5
    assert largest(THREE, 2, SPACING).sum() == 9
    np.testing.assert_array_equal(largest(THREE, 3, SPACING), THREE)


def test_of_equals_as_many_as_asked_for_are_kept() -> None:
    assert largest(draw("#.#.#.#"), 3, SPACING).sum() == 3


@pytest.mark.parametrize("number", VALUES)
def test_empty_and_full_masks_and_a_second_time(number: int) -> None:
    for mask in (np.zeros((1, 5, 9), bool), np.ones((1, 5, 9), bool)):
        np.testing.assert_array_equal(largest(mask, number, SPACING), mask)
    once = largest(random_row(0)[0] > 150, number, SPACING)
    np.testing.assert_array_equal(largest(once, number, SPACING), once)


@pytest.mark.parametrize("seed", range(3))
def test_counts_of_all_values_equal_keeping_and_counting(seed: int) -> None:
    maps, target, valid = random_row(seed)
    expected = [count(largest(maps > 150, value, SPACING), target, valid) for value in VALUES]
    np.testing.assert_array_equal(largest_counts(maps > 150, target, valid, VALUES, SPACING), expected)

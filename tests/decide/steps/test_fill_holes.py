import numpy as np
import pytest
from drawn import SPACING, draw, random_row
from scipy import ndimage

from tessera.decide.steps.fill_holes import fill_counts, fill_holes
from tessera.metrics.counts import count

VALUES = [1, 2, 5, 30, 10_000]
RINGS = draw(
    "########...",
    "#.##...#...",
    "#########.#",
    "......#...#",
    "......###.#",
)


def test_holes_up_to_the_area_are_filled_and_what_touches_the_border_is_none() -> None:
    assert (fill_holes(RINGS, 1, SPACING) & ~RINGS).sum() == 1
    assert (fill_holes(RINGS, 2, SPACING) & ~RINGS).sum() == 1
    filled = fill_holes(RINGS, 3, SPACING)
    assert (filled & ~RINGS).sum() == 4
    assert not filled[0, 3, 7]


def test_a_hole_does_not_leak_through_a_diagonal() -> None:
    diamond = draw(".#.", "#.#", ".#.")
    assert fill_holes(diamond, 1, SPACING)[0, 1, 1]


@pytest.mark.parametrize("area", VALUES)
def test_empty_and_full_masks_and_a_second_time(area: int) -> None:
    for mask in (np.zeros((1, 5, 9), bool), np.ones((1, 5, 9), bool)):
        np.testing.assert_array_equal(fill_holes(mask, area, SPACING), mask)
    once = fill_holes(random_row(0)[0] > 90, area, SPACING)
    np.testing.assert_array_equal(fill_holes(once, area, SPACING), once)


def test_without_a_bound_it_is_scipy_s() -> None:
    mask = random_row(2)[0] > 90
    expected = [ndimage.binary_fill_holes(plane) for plane in mask]
    np.testing.assert_array_equal(fill_holes(mask, 10_000, SPACING), expected)


@pytest.mark.parametrize("seed", range(3))
def test_counts_of_all_values_equal_filling_and_counting(seed: int) -> None:
    maps, target, valid = random_row(seed)
    expected = [count(fill_holes(maps > 90, value, SPACING), target, valid) for value in VALUES]
    np.testing.assert_array_equal(fill_counts(maps > 90, target, valid, VALUES, SPACING), expected)

import numpy as np
import pytest
from drawn import SPACING, draw, random_row

from tessera.decide.steps.gate import gate, gate_counts
from tessera.metrics.counts import count

VALUES = [1, 3, 200, 400, 10_000]


def test_a_class_of_few_pixels_is_empty_in_the_row() -> None:
    mask = np.concatenate([draw("#..#", "...."), draw("#..#", ".#..")])
    assert gate(mask, 3, SPACING).sum((1, 2)).tolist() == [0, 3]
    np.testing.assert_array_equal(gate(mask, 2, SPACING), mask)


@pytest.mark.parametrize("pixels", VALUES)
def test_empty_and_full_masks_and_a_second_time(pixels: int) -> None:
    assert not gate(np.zeros((1, 20, 30), bool), pixels, SPACING).any()
    assert gate(np.ones((1, 20, 30), bool), pixels, SPACING).all() == (pixels <= 600)
    once = gate(random_row(0)[0] > 150, pixels, SPACING)
    np.testing.assert_array_equal(gate(once, pixels, SPACING), once)


def test_counts_of_all_values_equal_gating_and_counting() -> None:
    maps, target, valid = random_row(0)
    expected = [count(gate(maps > 150, value, SPACING), target, valid) for value in VALUES]
    np.testing.assert_array_equal(gate_counts(maps > 150, target, valid, VALUES, SPACING), expected)

import numpy as np
import pytest
from drawn import random_row
from scipy import ndimage

from tessera.decide.cuts.hysteresis import hysteresis, hysteresis_counts
from tessera.decide.cuts.threshold import threshold
from tessera.metrics.counts import count


def test_what_hangs_together_with_a_sure_pixel_is_positive() -> None:
    plane = np.array(
        [
            [90, 10, 10, 90, 90],
            [10, 200, 10, 10, 10],  # the corner hangs on by its diagonal, the two to the right do not
            [10, 95, 10, 10, 99],
        ],
        np.uint8,
    )[None]
    assert hysteresis(plane, [(90, 150)]).astype(int).tolist() == [[[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0]]]
    assert hysteresis(plane, [(90, 99)])[0, 2, 4]
    assert not hysteresis(plane, [(90, 201)]).any()


@pytest.mark.parametrize("levels", [(60, 200), (120, 121), (1, 255)])
def test_it_equals_the_components_of_scipy_with_a_sure_pixel(levels: tuple[int, int]) -> None:
    maps, _, _ = random_row(0)
    low, high = levels
    for plane, found in zip(maps, hysteresis(maps, [levels] * 3), strict=True):
        labels, _ = ndimage.label(plane >= low, np.ones((3, 3)))
        sure = np.setdiff1d(labels[plane >= high], 0)
        np.testing.assert_array_equal(found, np.isin(labels, sure))


def test_low_and_high_alike_are_a_threshold_and_each_class_has_its_own() -> None:
    maps, _, _ = random_row(1)
    np.testing.assert_array_equal(hysteresis(maps, [(90, 90), (140, 140), (5, 5)]), threshold(maps, [90, 140, 5]))


def test_empty_and_full_maps() -> None:
    assert not hysteresis(np.zeros((1, 4, 7), np.uint8), [(1, 1)]).any()
    assert hysteresis(np.full((1, 4, 7), 255, np.uint8), [(1, 255)]).all()


@pytest.mark.parametrize("seed", range(2))
def test_counts_of_many_pairs_equal_cutting_and_counting(seed: int) -> None:
    maps, target, valid = random_row(seed)
    pairs = [[low, high] for low in (1, 60, 130, 255) for high in range(low, 256, 9)]
    expected = [count(hysteresis(maps, [pair] * 3), target, valid) for pair in pairs]
    np.testing.assert_array_equal(hysteresis_counts(maps, target, valid, pairs), expected)

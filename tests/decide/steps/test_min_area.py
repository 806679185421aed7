import numpy as np
import pytest
from scipy import ndimage

from tessera.decide.steps.min_area import area_counts, min_area, min_area_um2
from tessera.metrics.counts import count

SPACING = (1.0, 1.0)
AREAS = [0, 1, 2, 5, 17, 60, 10_000]


def _masks(seed: int) -> tuple[np.ndarray, ...]:
    """Mask with components of many sizes, target, valid; (2, 40, 30) bool."""
    rng = np.random.default_rng(seed)
    mask = rng.random((2, 40, 30)) < np.array([0.12, 0.3])[:, None, None]
    return mask, rng.random(mask.shape) < 0.3, rng.random(mask.shape) < 0.8


@pytest.mark.parametrize("area", AREAS)
def test_components_of_fewer_pixels_are_removed_and_diagonals_connect(area: int) -> None:
    mask, _, _ = _masks(0)
    expected = np.zeros_like(mask)
    for plane, kept in zip(mask, expected, strict=True):
        labels, number = ndimage.label(plane, np.ones((3, 3)))
        for component in range(1, number + 1):
            kept |= (labels == component) & ((labels == component).sum() >= area)
    np.testing.assert_array_equal(min_area(mask, area, SPACING), expected)


@pytest.mark.parametrize("mask", [np.zeros((1, 4, 5), bool), np.ones((1, 4, 5), bool)], ids=["empty", "full"])
def test_an_empty_mask_stays_empty_and_a_full_one_full(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(min_area(mask, 20, SPACING), mask)
    assert not min_area(mask, 21, SPACING).any()


@pytest.mark.parametrize("seed", range(4))
def test_counts_of_all_areas_equal_those_of_removing_and_counting(seed: int) -> None:
    mask, target, valid = _masks(seed)
    expected = [count(min_area(mask, area, SPACING), target, valid) for area in AREAS]
    np.testing.assert_array_equal(area_counts(mask, target, valid, AREAS, SPACING), expected)


def test_counts_of_areas_never_see_ignored_pixels() -> None:
    mask, target, valid = _masks(0)
    scrambled = np.where(valid, target, _masks(1)[1])
    np.testing.assert_array_equal(
        area_counts(mask, target, valid, AREAS, SPACING), area_counts(mask, scrambled, valid, AREAS, SPACING)
    )


@pytest.mark.parametrize("area", AREAS)
def test_removing_twice_removes_no_more(area: int) -> None:
    once = min_area(_masks(1)[0], area, SPACING)
    np.testing.assert_array_equal(min_area(once, area, SPACING), once)


def test_an_area_in_um2_is_that_of_the_pixels_it_covers() -> None:
    mask = _masks(0)[0]
    for area, pixels in ((3.0, 12), (3.1, 13), (0.1, 1)):  # a px covers 0.25 µm²
        np.testing.assert_array_equal(min_area_um2(mask, area, (0.5, 0.5)), min_area(mask, pixels, SPACING))

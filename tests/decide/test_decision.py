import numpy as np
import pytest
from scipy import ndimage

from tessera.decide.decision import EVERYWHERE, Decision, blend, count_areas, remove_small
from tessera.metrics.counts import count

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
    np.testing.assert_array_equal(remove_small(mask, area), expected)


@pytest.mark.parametrize("mask", [np.zeros((1, 4, 5), bool), np.ones((1, 4, 5), bool)], ids=["empty", "full"])
def test_an_empty_mask_stays_empty_and_a_full_one_full(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(remove_small(mask, 20), mask)
    assert not remove_small(mask, 21).any()


@pytest.mark.parametrize("seed", range(4))
def test_counts_of_all_areas_equal_those_of_removing_and_counting(seed: int) -> None:
    mask, target, valid = _masks(seed)
    expected = [count(remove_small(mask, area), target, valid) for area in AREAS]
    np.testing.assert_array_equal(count_areas(mask, target, valid, AREAS), expected)


def test_counts_of_areas_never_see_ignored_pixels() -> None:
    mask, target, valid = _masks(0)
    scrambled = np.where(valid, target, _masks(1)[1])
    np.testing.assert_array_equal(count_areas(mask, target, valid, AREAS), count_areas(mask, scrambled, valid, AREAS))


def test_a_blend_is_the_rounded_weighted_mean() -> None:
    maps = np.random.default_rng(0).integers(0, 256, (3, 2, 9, 8)).astype(np.float32)
    expected = np.rint(np.tensordot([0.5, 0.25, 0.25], maps, 1))
    np.testing.assert_array_equal(blend(maps, [0.5, 0.25, 0.25]), expected)
    np.testing.assert_array_equal(blend(maps, [0, 1, 0]), maps[1])
    assert blend(maps, [0.1, 0.2, 0.7]).dtype == np.uint8


def test_a_blend_of_full_probabilities_does_not_wrap_around() -> None:
    assert (blend(np.full((3, 1, 2, 2), 255, np.float32), [0.4, 0.3, 0.3]) == 255).all()


def test_a_decision_blends_thresholds_and_cleans() -> None:
    maps = np.random.default_rng(0).integers(0, 256, (2, 1, 30, 30)).astype(np.float32)
    decision = Decision({"a": 0.5, "unused": 0.0, "b": 0.5}, {EVERYWHERE: [150], "kidney": [200]}, 4)
    assert decision.models == ["a", "b"]
    for stratum, threshold in (("kidney", 200), ("liver", 150), ("", 150)):
        expected = remove_small(np.rint(maps.mean(0)) >= threshold, 4)
        np.testing.assert_array_equal(decision.mask(maps, stratum), expected)


def test_a_pixel_at_the_threshold_is_positive() -> None:
    decision = Decision({"a": 1.0}, {EVERYWHERE: [128]}, 0)
    assert decision.mask(np.array([[[[127, 128, 129]]]], np.float32), "").tolist() == [[[False, True, True]]]

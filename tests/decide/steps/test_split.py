import cv2
import numpy as np
import pytest
from drawn import SPACING, random_row
from scipy import ndimage

from tessera.decide.steps.split import _depth, _flood, _middles, split


def _discs(*discs: tuple[int, int, int], size: tuple[int, int] = (60, 90)) -> np.ndarray:
    """A mask (1, H, W) bool of discs (y, x, radius)."""
    plane = np.zeros(size, np.uint8)
    for y, x, radius in discs:
        cv2.circle(plane, (x, y), radius, 1, cv2.FILLED)
    return plane[None].astype(bool)


def _objects(mask: np.ndarray) -> int:
    return ndimage.label(mask[0], np.ones((3, 3)))[1]


@pytest.mark.parametrize("second", [(30, 56, 15), (45, 50, 15), (31, 51, 8)])
def test_two_touching_discs_become_two_by_a_line_of_one_pixel(second: tuple[int, int, int]) -> None:
    touching = _discs((30, 30, 15), second)
    assert _objects(touching) == 1
    parted = split(touching, 10, SPACING)
    assert _objects(parted) == 2
    assert not (parted & ~touching).any()
    carved = touching & ~parted
    assert carved.sum() <= 30  # no more than a line through the neck
    assert not cv2.erode(carved[0].astype(np.uint8), np.ones((3, 3))).any(), "nowhere wide"


def test_the_line_runs_through_the_neck() -> None:
    touching = _discs((30, 25, 20), (30, 51, 10))  # the circles cross at column 44
    columns = np.flatnonzero((touching & ~split(touching, 10, SPACING)).any((0, 1)))
    assert columns.min() >= 41 and columns.max() <= 46


def test_a_bunch_becomes_its_discs() -> None:
    bunch = _discs((20, 20, 12), (20, 43, 12), (40, 31, 12), (40, 54, 12), size=(64, 80))
    assert _objects(bunch) == 1
    assert _objects(split(bunch, 10, SPACING)) == 4


@pytest.mark.parametrize("shape", ["disc", "bar", "apart"])
def test_what_is_one_object_stays_whole(shape: str) -> None:
    bar = np.zeros((1, 60, 90), bool)
    bar[0, 20:27, 5:80] = True
    mask = {"disc": _discs((30, 30, 20)), "bar": bar, "apart": _discs((20, 20, 12), (20, 60, 5))}[shape]
    np.testing.assert_array_equal(split(mask, 8, SPACING), mask)


def test_middles_nearer_than_the_distance_are_one() -> None:
    touching = _discs((30, 30, 15), (30, 56, 15))
    np.testing.assert_array_equal(split(touching, 40, SPACING), touching)


def test_a_small_neighbour_of_a_large_object_is_not_lost() -> None:
    mask = _discs((30, 30, 20), (30, 54, 2))
    assert _objects(mask) == 2
    np.testing.assert_array_equal(split(mask, 10, SPACING), mask)


def test_parted_objects_stay_as_they_are() -> None:
    once = split(_discs((30, 30, 15), (30, 56, 15)), 10, SPACING)
    np.testing.assert_array_equal(split(once, 10, SPACING), once)


def test_empty_and_full_masks_and_several_classes() -> None:
    assert not split(np.zeros((1, 5, 9), bool), 3, SPACING).any()
    assert split(np.ones((1, 5, 9), bool), 3, SPACING).all()
    two = np.concatenate([_discs((30, 30, 15), (30, 56, 15)), _discs((30, 30, 15))])
    parted = split(two, 10, SPACING)
    np.testing.assert_array_equal(parted[0], split(two[:1], 10, SPACING)[0])
    np.testing.assert_array_equal(parted[1], two[1])


def test_depths_are_exact_so_that_a_rerun_splits_alike() -> None:
    rng = np.random.default_rng(0)
    for height, width in rng.integers(3, 120, (50, 2)):  # OpenCV's last digits depend on where a row lies in memory
        noise = cv2.GaussianBlur(rng.normal(size=(height, width)).astype(np.float32), (0, 0), 3)
        component = np.pad(noise > -0.05, 1)
        np.testing.assert_array_equal(_depth(component), ndimage.distance_transform_edt(component).astype(np.float32))


def _flood_by_dilation(basins: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """As `_flood`, but looking at all px each time."""
    for level in np.unique(np.floor(depth[depth > 0]))[::-1]:
        before = None
        while before is None or (before != basins).any():
            before = basins
            basins = np.where((basins == 0) & (depth >= level), cv2.dilate(basins, np.ones((3, 3))), basins)
    return basins


@pytest.mark.parametrize("distance", [1, 3, 12])
def test_basins_meet_where_the_dilation_of_each_level_lets_them_meet(distance: int) -> None:
    noise = np.random.default_rng(distance).normal(size=(120, 161)).astype(np.float32)
    depth = _depth(np.pad(cv2.GaussianBlur(noise, (0, 0), 4) > -0.03, 1))
    basins = _middles(depth, distance)
    basins[basins == basins.max()] = 0  # a part that is reached only from a level far below its middle
    np.testing.assert_array_equal(_flood(basins, depth), _flood_by_dilation(basins, depth))


def test_no_object_is_lost_in_a_crowd() -> None:
    mask = random_row(0)[0][:1] > 120
    parted = split(mask, 4, SPACING)
    labels, number = ndimage.label(mask[0], np.ones((3, 3)))
    assert set(labels[parted[0]]) == set(range(1, number + 1))
    assert _objects(parted) > number

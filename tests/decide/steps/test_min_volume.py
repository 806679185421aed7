import weakref

import numpy as np
import pytest
from scipy import ndimage

from tessera.decide.decision import Decision
from tessera.decide.steps.min_volume import component_volumes, min_volume, volume_counts
from tessera.metrics.counts import count

VALUES = [1, 2, 6, 30, 100_000]


def _volume(seed: int, share: float = 0.12) -> np.ndarray:
    """(2 classes, 7 slices, 14, 19) bool."""
    return np.random.default_rng(seed).random((2, 7, 14, 19)) < np.array([share, 0.05])[:, None, None, None]


def _slow(volume: np.ndarray, voxels: int) -> np.ndarray:
    kept = np.zeros_like(volume)
    for of_class, result in zip(volume, kept, strict=True):
        labels, _ = ndimage.label(of_class, np.ones((3, 3, 3)))
        sizes = np.bincount(labels.ravel())
        result[:] = (sizes[labels] >= voxels) & of_class
    return kept


def _streamed(volume: np.ndarray, voxels: int) -> np.ndarray:
    volumes = component_volumes(enumerate(volume.swapaxes(0, 1)))
    return np.stack([min_volume(mask, voxels, volumes[z]) for z, mask in enumerate(volume.swapaxes(0, 1))], 1)


@pytest.mark.parametrize("voxels", VALUES)
@pytest.mark.parametrize("share", [0.04, 0.12, 0.3])
def test_streamed_slices_equal_the_labelled_volume(voxels: int, share: float) -> None:
    volume = _volume(0, share)
    np.testing.assert_array_equal(_streamed(volume, voxels), _slow(volume, voxels))


def test_a_u_that_is_closed_in_its_last_slice_is_one() -> None:
    volume = np.zeros((1, 3, 3, 5), bool)
    volume[0, :2, 1, 0] = volume[0, :2, 1, 4] = True  # two pillars
    volume[0, 2, 1, :] = True  # and the bridge between them
    assert _streamed(volume, 9).sum() == 9
    assert _streamed(volume[:, :2], 3).sum() == 0


def test_empty_and_full_volumes_and_a_second_time() -> None:
    assert not _streamed(np.zeros((1, 3, 4, 7), bool), 2).any()
    assert _streamed(np.ones((1, 3, 4, 7), bool), 84).all()
    assert not _streamed(np.ones((1, 3, 4, 7), bool), 85).any()
    once = _streamed(_volume(1), 6)
    np.testing.assert_array_equal(_streamed(once, 6), once)


def test_slices_with_one_missing_between_them_are_not_connected() -> None:
    full = np.ones((1, 2, 2), bool)
    assert [int(of[0][1]) for of in component_volumes([(0, full), (1, full), (3, full)]).values()] == [8, 8, 4]


def test_counts_of_all_values_equal_removing_and_counting() -> None:
    volume = _volume(2)
    rng = np.random.default_rng(3)
    volumes = component_volumes(enumerate(volume.swapaxes(0, 1)))
    for z, mask in enumerate(volume.swapaxes(0, 1)):
        target, valid = rng.random(mask.shape) < 0.3, rng.random(mask.shape) < 0.8
        expected = [count(min_volume(mask, value, volumes[z]), target, valid) for value in VALUES]
        np.testing.assert_array_equal(volume_counts(mask, target, valid, VALUES, volumes[z]), expected)


class _Held:
    """Slices that know how many of them are held at a time."""

    def __init__(self, volume: np.ndarray):
        self.volume, self.references = volume, []

    def __iter__(self):
        for z in range(self.volume.shape[1]):
            assert sum(one() is not None for one in self.references) <= 1, "earlier slices are held"
            mask = self.volume[:, z].copy()
            self.references.append(weakref.ref(mask))
            yield z, mask


def test_no_slice_is_held_longer_than_its_neighbour() -> None:
    assert len(component_volumes(_Held(_volume(0)))) == 7


@pytest.mark.parametrize("order", [range(6), [4, 2, 0, 5, 1, 3]])
def test_masks_of_evidence_are_those_of_whole_items(memory_evidence: type, order: list[int]) -> None:
    """Two volumes of three slices, whose rows may stand in any order, and of which only some are asked for."""
    rng = np.random.default_rng(0)
    of_rows = (rng.random((6, 1, 9, 11)) < 0.15).astype(np.uint8) * 255
    order = list(order)
    evidence = memory_evidence(
        {"m": of_rows[order]},
        np.zeros((6, 9, 11), np.uint8),
        item=["one" if n < 3 else "two" for n in order],
        z=[n % 3 for n in order],
    )
    decision = Decision({"m": 1.0}, ["identity"], "probabilities", "threshold", "", {"*": [128]}, {"min_volume": 4})
    found = dict(evidence.masks(decision))
    for n, row in enumerate(np.argsort(order)):
        item = of_rows[:3] if n < 3 else of_rows[3:]
        np.testing.assert_array_equal(found[row], _slow(item.swapaxes(0, 1) > 0, 4)[:, n % 3])
    ((row, alone),) = evidence.masks(decision, [4])
    assert row == 4
    np.testing.assert_array_equal(alone, found[4])
    assert sum(mask.sum() for mask in found.values()) < (of_rows > 0).sum()

import numpy as np
import pytest

from tessera.decide import histograms
from tessera.decide.histograms import counts_by_threshold, histogram
from tessera.metrics.counts import count


def _row(seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    blended = rng.integers(0, 256, (2, 33, 21), np.uint8)
    blended[0, :5], blended[1, :5] = 0, 255
    return blended, rng.random(blended.shape) < 0.3, rng.random(blended.shape) < 0.8


def _naive(blended: np.ndarray, target: np.ndarray, valid: np.ndarray) -> np.ndarray:
    return np.stack([count(blended >= threshold, target, valid) for threshold in range(1, 256)], 1)


@pytest.mark.parametrize("seed", range(3))
def test_counts_at_every_threshold_equal_the_naive_loop(seed: int) -> None:
    row = _row(seed)
    np.testing.assert_array_equal(counts_by_threshold(histogram(*row)), _naive(*row))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (1, 8), (3, 5), (40, 50), (33, 61)])  # px: not only eights
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 1.0])
def test_maps_that_are_0_nearly_everywhere_are_counted_alike(shape: tuple[int, int], share: float) -> None:
    rng = np.random.default_rng(0)
    blended = np.where(rng.random((2, *shape)) < share, rng.integers(0, 256, (2, *shape)), 0).astype(np.uint8)
    target, valid = rng.random(blended.shape) < 0.02, rng.random(blended.shape) > 0.02
    found = histogram(blended, target, valid)
    for c in range(2):
        for positive in (False, True):
            where = valid[c] & (target[c] == positive)
            np.testing.assert_array_equal(found[c, int(positive)], np.bincount(blended[c][where], minlength=256))


def test_arrays_may_be_views_of_channels_last() -> None:
    row = [np.moveaxis(np.moveaxis(plane, 0, -1).copy(), -1, 0) for plane in _row(0)]
    np.testing.assert_array_equal(histogram(*row), histogram(*_row(0)))


def test_a_row_larger_than_opencv_counts_exactly_is_read_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    row = _row(0)
    whole = histogram(*row)
    monkeypatch.setattr(histograms, "_EXACT", 4 * row[0].shape[2])  # four rows a band
    np.testing.assert_array_equal(histogram(*row), whole)


def test_ignored_pixels_are_in_no_histogram() -> None:
    blended, target, valid = _row(0)
    others = _row(1)
    scrambled = [np.where(valid, mine, other) for mine, other in zip((blended, target), others[:2], strict=True)]
    found = histogram(*scrambled, valid)
    np.testing.assert_array_equal(found, histogram(blended, target, valid))
    np.testing.assert_array_equal(found.sum((1, 2)), valid.sum((1, 2)))


def test_rows_may_be_stacked() -> None:
    rows = [_row(seed) for seed in range(3)]
    stacked = np.stack([histogram(*row) for row in rows])
    np.testing.assert_array_equal(counts_by_threshold(stacked), np.stack([_naive(*row) for row in rows]))

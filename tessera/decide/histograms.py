"""One pass over the pixels of a row tells its counts at every threshold."""

from collections.abc import Iterator

import cv2
import numpy as np

_EXACT = 2**24  # pixels; OpenCV returns counts as float32, whole numbers up to here
IGNORED, NEGATIVE, POSITIVE = range(3)  # what a pixel is


def states(target: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """What each pixel is, (C, H, W) uint8. target, valid: (C, H, W) bool."""
    return valid.view(np.uint8) + (target & valid).view(np.uint8)


def histogram(blended: np.ndarray, target: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """How often each value occurs among positives and negatives: (C, 2, 256) int64, [:, 1] the positives.

    blended: (C, H, W) uint8. target, valid: (C, H, W) bool; what is not valid is in neither.
    """
    state = states(target, valid)
    counts = np.zeros((len(blended), 2, 256), np.int64)
    for c, band in bands(blended.shape):
        pair = [state[c, band], np.ascontiguousarray(blended[c, band])]
        counts[c] += cv2.calcHist(pair, [0, 1], None, [3, 256], [0, 3, 0, 256])[NEGATIVE:].astype(np.int64)
    return counts


def bands(shape: tuple[int, int, int]) -> Iterator[tuple[int, slice]]:
    """(class, rows) of arrays (C, H, W), so few pixels at a time that OpenCV counts them exactly."""
    rows = max(1, _EXACT // shape[2])
    for c in range(shape[0]):
        for start in range(0, shape[1], rows):
            yield c, slice(start, start + rows)


def counts_by_threshold(histograms: np.ndarray) -> np.ndarray:
    """Histograms (..., 2, 256) → counts (..., 255, 3) of masks `value >= t`, t = 1…255 at index t − 1."""
    above = np.cumsum(histograms[..., ::-1], -1, dtype=np.int64)[..., ::-1]
    true_positive, false_positive = above[..., 1, 1:], above[..., 0, 1:]
    return np.stack([true_positive, false_positive, above[..., 1, :1] - true_positive], -1)

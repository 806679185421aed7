"""One pass over the pixels of a row tells its counts at every threshold."""

from collections.abc import Iterator

import cv2
import numpy as np

_EXACT = 2**24  # pixels; OpenCV returns counts as float32, whole numbers up to here
NEGATIVE, POSITIVE, IGNORED = range(3)  # what a pixel is


def states(target: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """`NEGATIVE`, `POSITIVE` or, from there on, `IGNORED` for each pixel, uint8. target, valid: (C, H, W) bool."""
    return target.view(np.uint8) + (valid.view(np.uint8) ^ 1) * np.uint8(IGNORED)


def histogram(blended: np.ndarray, state: np.ndarray) -> np.ndarray:
    """How often each value occurs among negatives, positives and ignored pixels: (C, 3, 256) int64.

    blended: (C, H, W) uint8. state: (C, H, W) uint8 of `states`.
    """
    counts = np.zeros((len(blended), 3, 256), np.int64)
    for c, band in bands(blended.shape):
        pair = [np.ascontiguousarray(blended[c, band]), state[c, band]]
        found = cv2.calcHist(pair, [1, 0], None, [4, 256], [0, 4, 0, 256]).astype(np.int64)
        counts[c] += np.add.reduceat(found, [NEGATIVE, POSITIVE, IGNORED])
    return counts


def bands(shape: tuple[int, int, int]) -> Iterator[tuple[int, slice]]:
    """(class, rows) of arrays (C, H, W), so few pixels at a time that OpenCV counts them exactly."""
    rows = max(1, _EXACT // shape[2])
    for c in range(shape[0]):
        for start in range(0, shape[1], rows):
            yield c, slice(start, start + rows)


def counts_by_threshold(histograms: np.ndarray) -> np.ndarray:
    """Histograms (..., 2 or 3, 256) → counts (..., 255, 3) of masks `value >= t`, t = 1…255 at index t − 1."""
    above = np.cumsum(histograms[..., ::-1], -1, dtype=np.int64)[..., ::-1]
    true_positive, false_positive = above[..., POSITIVE, 1:], above[..., NEGATIVE, 1:]
    return np.stack([true_positive, false_positive, above[..., POSITIVE, :1] - true_positive], -1)

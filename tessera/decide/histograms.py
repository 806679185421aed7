"""One pass over the pixels of a row tells its counts at every threshold."""

from collections.abc import Iterator

import cv2
import numpy as np

_EXACT = 2**24  # pixels; OpenCV returns counts as float32, whole numbers up to here
IGNORED, NEGATIVE, POSITIVE = range(3)  # what a pixel is
_BACKGROUND = np.full(8, NEGATIVE, np.uint8).view(np.uint64)  # eight negative pixels read as one number


def states(target: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """What each pixel is, (C, H, W) uint8. target, valid: (C, H, W) bool."""
    return valid.view(np.uint8) << target.view(np.uint8)


def histogram(blended: np.ndarray, target: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """How often each value occurs among positives and negatives: (C, 2, 256) int64, [:, 1] the positives.

    blended: (C, H, W) uint8. target, valid: (C, H, W) bool; what is not valid is in neither.
    """
    return histogram_of_states(blended, target, valid)[:, NEGATIVE:]


def histogram_of_states(blended: np.ndarray, target: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """As `histogram`, with what is not valid: (C, 3, 256) int64, by IGNORED, NEGATIVE, POSITIVE."""
    state = states(target, valid)
    counts = np.zeros((len(blended), 3, 256), np.int64)
    for c, band in bands(blended.shape):
        counts[c] += _count(state[c, band].ravel(), blended[c, band].ravel())  # contiguous, as reshape is not always
    return counts


def _count(state: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How often each value occurs in each state, (3, 256) int64. Both: (N,) uint8.

    Confident models say 0 of nearly all background: eights of such pixels are told by one comparison and counted at once.
    """
    whole = len(values) // 8 * 8
    eights = [plane[:whole].view(np.uint64) for plane in (state, values)]
    telling = (eights[0] != _BACKGROUND) | (eights[1] != 0)
    if 2 * np.count_nonzero(telling) > len(telling):  # then to pick them out costs more than it spares
        return _look_up(state, values)
    picked = np.flatnonzero(telling)
    counts = _look_up(*(plane.take(picked, mode="clip").view(np.uint8) for plane in eights))  # "raise" is slower
    counts += _look_up(state[whole:], values[whole:])
    counts[NEGATIVE, 0] += whole - 8 * len(picked)
    return counts


def _look_up(state: np.ndarray, values: np.ndarray) -> np.ndarray:
    """As `_count`, pixel by pixel."""
    if not len(values):  # OpenCV refuses it
        return np.zeros((3, 256), np.int64)
    return cv2.calcHist([state, values], [0, 1], None, [3, 256], [0, 3, 0, 256]).astype(np.int64)


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

"""One pass over the pixels of a row tells its counts at every threshold."""

import cv2
import numpy as np

_EXACT = 2**24  # pixels; OpenCV returns counts as float32, whole numbers up to here


def histogram(blended: np.ndarray, target: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """How often each value occurs among positives and negatives: (C, 2, 256) int64, [:, 1] the positives.

    blended: (C, H, W) uint8. target, valid: (C, H, W) bool; what is not valid is in neither.
    """
    counts = np.zeros((len(blended), 2, 256), np.int64)
    rows = max(1, _EXACT // blended.shape[2])
    for c in range(len(blended)):
        for start in range(0, blended.shape[1], rows):
            band = np.s_[c, start : start + rows]
            for positive, where in enumerate((~target[band] & valid[band], target[band] & valid[band])):
                found = cv2.calcHist(
                    [np.ascontiguousarray(blended[band])], [0], where.astype(np.uint8), [256], [0, 256]
                )
                counts[c, positive] += found.ravel().astype(np.int64)
    return counts


def counts_by_threshold(histograms: np.ndarray) -> np.ndarray:
    """Histograms (..., 2, 256) → counts (..., 255, 3) of masks `value >= t`, t = 1…255 at index t − 1."""
    above = np.cumsum(histograms[..., ::-1], -1, dtype=np.int64)[..., ::-1]
    true_positive, false_positive = above[..., 1, 1:], above[..., 0, 1:]
    return np.stack([true_positive, false_positive, above[..., 1, :1] - true_positive], -1)

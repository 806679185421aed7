"""Cut `quantile`: a given share of a row's pixels is positive, the most probable ones."""

import numpy as np

from tessera.decide.cuts.threshold import threshold
from tessera.decide.histograms import NEGATIVE, counts_by_threshold


def quantile(blended: np.ndarray, levels: list[float]) -> np.ndarray:
    """blended (C, H, W) uint8, levels: share of positive px in 0…1, one a class → mask (C, H, W) bool.

    Equal values stay together: of the thresholds 1…256, the one whose share of px is nearest, of equals the highest.
    What is 0 is never positive. Source: winners of Vesuvius Ink Detection, 2023, tuned a quantile instead of a threshold.
    """
    values = [np.bincount(plane.ravel(), minlength=256) for plane in blended]
    thresholds = [int(_thresholds(of_plane, [level])[0]) for of_plane, level in zip(values, levels, strict=True)]
    return threshold(blended, thresholds)


def quantile_counts(histograms: np.ndarray, shares: list[float]) -> np.ndarray:
    """Counts (len(shares), C, 3) of a row cut at each share, from its `histogram_of_states` (C, 3, 256).

    The share is one of all px; what is not valid is in no count.
    """
    by_threshold = counts_by_threshold(histograms[:, NEGATIVE:])  # (C, 255, 3)
    nothing = np.zeros_like(by_threshold[:, :1])  # threshold 256: all is missed
    nothing[..., 2] = by_threshold[:, :1, 0] + by_threshold[:, :1, 2]
    by_threshold = np.concatenate([by_threshold, nothing], 1)
    pairs = zip(histograms.sum(1), by_threshold, strict=True)
    return np.stack([counts[_thresholds(values, shares) - 1] for values, counts in pairs], 1)


def _thresholds(values: np.ndarray, shares: list[float]) -> np.ndarray:
    """The thresholds 1…256 that leave these shares of a plane in which each value 0…255 occurs so often."""
    at_least = np.append(values[::-1].cumsum()[::-1], 0) / values.sum()  # by threshold 0…256
    missed = np.abs(at_least[None, :0:-1] - np.array(shares)[:, None])  # thresholds 256…1
    return 256 - missed.argmin(1)

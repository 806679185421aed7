"""Dice from counts of pixels, pooled or per image.

Counts are arrays (..., 3) of true positives, false positives, false negatives; ignored pixels are in none.
"""

from typing import Literal, NamedTuple

import numpy as np


def count(mask: np.ndarray, target: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Counts (C, 3) of a predicted mask against the truth; all three arrays (C, H, W) bool."""
    axes = (-2, -1)
    true_positive = (mask & target & valid).sum(axes)
    return np.stack(
        [true_positive, (mask & valid).sum(axes) - true_positive, (target & valid).sum(axes) - true_positive], -1
    )


def dice(counts: np.ndarray, empty: float) -> np.ndarray:
    """2·TP / (2·TP + FP + FN) over the last axis; `empty` where truth and prediction are both empty."""
    true_positive, false_positive, false_negative = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    total = 2 * true_positive + false_positive + false_negative
    return np.where(total > 0, 2 * true_positive / np.where(total > 0, total, 1), empty)


class FScore(NamedTuple):
    """How the Dice of many rows (images or slices) is aggregated; always the mean over classes.

    pooled: one Dice a class over all pixels of all rows. per_image: the mean of the rows' Dice. Either is a
    function of *statistics* that add up over rows, which is what searches and bootstraps work on.
    """

    average: Literal["pooled", "per_image"]
    empty: float

    def statistics(self, counts: np.ndarray) -> np.ndarray:
        """Counts (..., 3) of single rows → statistics (..., K) that may be summed over rows."""
        if self.average == "pooled":
            return np.asarray(counts, np.float64)
        row_dice = dice(counts, self.empty)
        return np.stack([row_dice, np.ones_like(row_dice)], -1)

    def finish(self, statistics: np.ndarray) -> np.ndarray:
        """Summed statistics (..., K) → scores (...)."""
        if self.average == "pooled":
            return dice(statistics, self.empty)
        return statistics[..., 0] / statistics[..., 1]

    def of(self, counts: np.ndarray) -> float:
        """The score of rows, counts (rows, C, 3)."""
        return float(self.finish(self.statistics(counts).sum(0)).mean())

"""Dice, F-beta and IoU from counts of pixels, pooled or per image.

Counts are arrays (..., 3) of true positives, false positives, false negatives; ignored pixels are in none.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from tessera.metrics.score import mean_of, one_each, score_of


def count(mask: np.ndarray, target: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Counts (C, 3) of a predicted mask against the truth; all three arrays (C, H, W) bool."""
    return np.stack(tally(mask, target, valid), -1)


def tally(mask: np.ndarray, target: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three counts (...), of bool (..., H, W) that are numpy's or torch's on any device."""
    axes = (-2, -1)
    true_positive = (mask & target & valid).sum(axes)
    return true_positive, (mask & valid).sum(axes) - true_positive, (target & valid).sum(axes) - true_positive


def f_score(counts: np.ndarray, empty: float, beta: float = 1.0) -> np.ndarray:
    """(1 + β²)·TP / ((1 + β²)·TP + FP + β²·FN) over the last axis; `empty` where truth and prediction are both empty.

    β = 1 is Dice; below 1, false positives cost more than false negatives (van Rijsbergen, 1979).
    """
    true_positive, false_positive, false_negative = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    right = (1 + beta**2) * true_positive
    total = right + false_positive + beta**2 * false_negative
    return np.where(total > 0, right / np.where(total > 0, total, 1), empty)


def iou(counts: np.ndarray, empty: float) -> np.ndarray:
    """TP / (TP + FP + FN) over the last axis, the Jaccard index; `empty` where truth and prediction are both empty."""
    true_positive, total = np.asarray(counts, np.float64)[..., 0], np.asarray(counts, np.float64).sum(-1)
    return np.where(total > 0, true_positive / np.where(total > 0, total, 1), empty)


@dataclass(frozen=True)
class CountScore:
    """How a ratio of counts is aggregated over many rows (images or slices); always the mean over classes.

    average: pooled, one ratio a class over all pixels of all rows; or per_image, the mean of the rows' ratios. empty:
    the ratio where truth and prediction are both empty (of all rows if pooled, else of a row).
    """

    average: Literal["pooled", "per_image"]
    empty: float

    unit: ClassVar[str] = "row"
    from_counts: ClassVar[bool] = True

    def ratio(self, counts: np.ndarray) -> np.ndarray:
        """Counts (..., 3) → (...)."""
        raise NotImplementedError

    def statistics(self, counts: np.ndarray) -> np.ndarray:
        """Counts (..., 3) of single rows → statistics (..., K) that may be summed over rows."""
        if self.average == "pooled":
            return np.asarray(counts, np.float64)
        return one_each(self.ratio(counts))

    def measure(
        self, mask: np.ndarray, target: np.ndarray, valid: np.ndarray, spacing: tuple[float, ...]
    ) -> np.ndarray:
        """Statistics (C, K) of a row; `spacing` does not matter."""
        return self.statistics(count(mask, target, valid))

    def finish(self, statistics: np.ndarray) -> np.ndarray:
        """Summed statistics (..., K) → scores (...)."""
        return self.ratio(statistics) if self.average == "pooled" else mean_of(statistics)

    def of(self, counts: np.ndarray) -> float:
        """The score of rows, counts (rows, C, 3)."""
        return score_of(self, self.statistics(counts))


@dataclass(frozen=True)
class FScore(CountScore):
    """The F-beta (1: Dice), aggregated as `CountScore` says."""

    beta: float = 1.0

    @property
    def name(self) -> str:
        """As people call it: Dice, F0.5, …"""
        return "Dice" if self.beta == 1 else f"F{self.beta:g}"

    def ratio(self, counts: np.ndarray) -> np.ndarray:
        """Counts (..., 3) → F-beta (...)."""
        return f_score(counts, self.empty, self.beta)


@dataclass(frozen=True)
class IoU(CountScore):
    """Intersection over union, the Jaccard index, aggregated as `CountScore` says."""

    name: ClassVar[str] = "IoU"

    def ratio(self, counts: np.ndarray) -> np.ndarray:
        """Counts (..., 3) → IoU (...)."""
        return iou(counts, self.empty)

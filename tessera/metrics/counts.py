"""Dice and F-beta from counts of pixels, pooled or per image.

Counts are arrays (..., 3) of true positives, false positives, false negatives; ignored pixels are in none.
"""

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from tessera.params.score import Score


def count(mask: np.ndarray, target: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Counts (C, 3) of a predicted mask against the truth; all three arrays (C, H, W) bool."""
    axes = (-2, -1)
    true_positive = (mask & target & valid).sum(axes)
    return np.stack(
        [true_positive, (mask & valid).sum(axes) - true_positive, (target & valid).sum(axes) - true_positive], -1
    )


def f_score(counts: np.ndarray, empty: float, beta: float = 1.0) -> np.ndarray:
    """(1 + β²)·TP / ((1 + β²)·TP + FP + β²·FN) over the last axis; `empty` where truth and prediction are both empty.

    β = 1 is Dice; below 1, false positives cost more than false negatives (van Rijsbergen, 1979).
    """
    true_positive, false_positive, false_negative = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    right = (1 + beta**2) * true_positive
    total = right + false_positive + beta**2 * false_negative
    return np.where(total > 0, right / np.where(total > 0, total, 1), empty)


class FScore(NamedTuple):
    """How the F-beta (1: Dice) of many rows (images or slices) is aggregated; always the mean over classes.

    pooled: one score a class over all pixels of all rows. per_image: the mean of the rows' scores. Either is a
    function of *statistics* that add up over rows, which is what searches and bootstraps work on.
    """

    average: Literal["pooled", "per_image"]
    empty: float
    beta: float = 1.0

    @property
    def name(self) -> str:
        """As people call it: Dice, F0.5, …"""
        return "Dice" if self.beta == 1 else f"F{self.beta:g}"

    def statistics(self, counts: np.ndarray) -> np.ndarray:
        """Counts (..., 3) of single rows → statistics (..., K) that may be summed over rows."""
        if self.average == "pooled":
            return np.asarray(counts, np.float64)
        row_scores = f_score(counts, self.empty, self.beta)
        return np.stack([row_scores, np.ones_like(row_scores)], -1)

    def finish(self, statistics: np.ndarray) -> np.ndarray:
        """Summed statistics (..., K) → scores (...)."""
        if self.average == "pooled":
            return f_score(statistics, self.empty, self.beta)
        return statistics[..., 0] / statistics[..., 1]

    def of(self, counts: np.ndarray) -> float:
        """The score of rows, counts (rows, C, 3)."""
        return float(self.finish(self.statistics(counts).sum(0)).mean())


def build_score(section: "Score") -> FScore:
    """The competition's own score."""
    return FScore(section.average, section.empty, section.beta)

"""The face of a score: what searches, bootstraps and checks need to know of it. All scores are maximised.

A score is made of *statistics* that are measured on units (rows: images or slices; or items: whole volumes) and add up
over units; `finish` turns a sum of them into scores. What ignored pixels hold never changes a statistic.
"""

from typing import Literal, Protocol

import numpy as np


class Score(Protocol):
    """name: as people call it. unit: what is measured at once; an image of one slice is an item of one row.
    from_counts: the statistics follow from the counts (TP, FP, FN) of a unit's pixels (`CountScore.statistics`)."""

    unit: Literal["row", "item"]
    from_counts: bool

    @property
    def name(self) -> str: ...

    def measure(
        self, mask: np.ndarray, target: np.ndarray, valid: np.ndarray, spacing: tuple[float, ...]
    ) -> np.ndarray:
        """Statistics (C, K) of a unit: mask, target, valid (C, H, W) bool of a row, (C, Z, H, W) of an item; spacing:
        (y, x) or (z, y, x) size of a pixel."""

    def finish(self, statistics: np.ndarray) -> np.ndarray:
        """Summed statistics (..., K) → scores (...)."""


def score_of(score: Score, statistics: np.ndarray) -> float:
    """The score of units, statistics (units, C, K): the mean over classes."""
    return float(score.finish(statistics.sum(0)).mean())


def one_each(scores: np.ndarray) -> np.ndarray:
    """Scores (...) of single units → statistics (..., 2): their sum and their number."""
    return np.stack([scores, np.ones_like(scores)], -1)


def mean_of(statistics: np.ndarray) -> np.ndarray:
    """Sums and numbers (..., 2) → means (...)."""
    return statistics[..., 0] / statistics[..., 1]

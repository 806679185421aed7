"""Scores that count objects: a predicted one is right where its IoU with a true one exceeds a threshold.

Objects are the 8-connected components of truth and of prediction, each class by itself; true objects that touch are one.
A row's score is the mean over the thresholds, then the mean of rows and of classes. Ignored pixels are background in
both masks. `empty` counts where a row holds no object of either; with objects of one side alone the score is 0.
"""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from tessera.metrics.counts import f_score, iou
from tessera.metrics.score import mean_of, one_each


@dataclass(frozen=True)
class ObjectScore:
    """Rows' mean over IoU `thresholds` of a ratio of counts of objects; thresholds are at least 0.5, so that no object
    has two partners."""

    empty: float
    thresholds: tuple[float, ...]

    unit: ClassVar[str] = "row"
    from_counts: ClassVar[bool] = False

    def ratio(self, counts: np.ndarray) -> np.ndarray:
        """Counts of objects (..., 3) → (...)."""
        raise NotImplementedError

    def measure(
        self, mask: np.ndarray, target: np.ndarray, valid: np.ndarray, spacing: tuple[float, ...]
    ) -> np.ndarray:
        """Statistics (C, 2) of a row: its score and 1; `spacing` does not matter."""
        counts = [count_objects(*planes, self.thresholds) for planes in zip(mask & valid, target & valid, strict=True)]
        return one_each(self.ratio(np.array(counts)).mean(-1))

    def finish(self, statistics: np.ndarray) -> np.ndarray:
        """Summed statistics (..., 2) → scores (...)."""
        return mean_of(statistics)


@dataclass(frozen=True)
class ObjectPrecision(ObjectScore):
    """TP / (TP + FP + FN) of objects: the "mean average precision" of the Data Science Bowl 2018."""

    name: ClassVar[str] = "mAP of objects"

    def ratio(self, counts: np.ndarray) -> np.ndarray:
        """Counts of objects (..., 3) → (...)."""
        return iou(counts, self.empty)


@dataclass(frozen=True)
class ObjectFScore(ObjectScore):
    """The F-beta of objects; Airbus ship detection 2018 takes beta 2."""

    beta: float

    @property
    def name(self) -> str:
        """As people call it."""
        return f"F{self.beta:g} of objects"

    def ratio(self, counts: np.ndarray) -> np.ndarray:
        """Counts of objects (..., 3) → (...)."""
        return f_score(counts, self.empty, self.beta)


def count_objects(mask: np.ndarray, target: np.ndarray, thresholds: tuple[float, ...]) -> np.ndarray:
    """Right, wrong and missed objects (len(thresholds), 3) of masks (H, W) bool."""
    (predicted, found), (true, labels) = (
        cv2.connectedComponents(plane.astype(np.uint8), connectivity=8) for plane in (mask, target)
    )
    sizes, others = np.bincount(labels.ravel(), minlength=true), np.bincount(found.ravel(), minlength=predicted)
    both = mask & target
    pairs, overlap = np.unique(labels[both].astype(np.int64) * predicted + found[both], return_counts=True)
    union = sizes[pairs // predicted] + others[pairs % predicted] - overlap
    # IoUs are ratios of whole numbers: 1e-9 keeps one that equals the threshold out, however that was rounded
    right = np.array([(overlap > (threshold + 1e-9) * union).sum() for threshold in thresholds])
    return np.stack([right, predicted - 1 - right, true - 1 - right], -1)

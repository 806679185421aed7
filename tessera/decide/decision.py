"""A decision turns the models' probabilities into a mask: weights, thresholds, minimum area."""

from dataclasses import dataclass

import cv2
import numpy as np

EVERYWHERE = "*"  # the threshold key of rows whose stratum has none of its own


@dataclass(frozen=True)
class Decision:
    """weights: model → share, summing to 1. thresholds: stratum or "*" → one in 1…255 a class; a pixel is positive
    where round(255·p) ≥ it. min_area: connected components smaller than this many px are removed."""

    weights: dict[str, float]
    thresholds: dict[str, list[int]]
    min_area: int

    @property
    def models(self) -> list[str]:
        """The models that count."""
        return [model for model, weight in self.weights.items() if weight > 0]

    def thresholds_of(self, stratum: str) -> np.ndarray:
        """The thresholds (C,) of a row."""
        return np.array(self.thresholds.get(stratum, self.thresholds[EVERYWHERE]))

    def mask(self, maps: np.ndarray, stratum: str) -> np.ndarray:
        """The mask (C, H, W) bool of a row; maps (len(models), C, H, W) in 0…255, in the order of `models`."""
        blended = blend(maps, [self.weights[model] for model in self.models])
        mask = blended >= self.thresholds_of(stratum)[:, None, None]
        return remove_small(mask, self.min_area)


def held_out_decisions(said: dict) -> dict[str, Decision]:
    """row_id → the decision that was made without the row, from what scores.json says of one way to decide."""
    return {row_id: Decision(**one["decision"]) for one in said.get("holdouts", []) for row_id in one["rows"]}


def blend(maps: np.ndarray, weights: list[float]) -> np.ndarray:
    """The weighted mean of maps (M, C, H, W) float32 in 0…255, rounded to uint8 (C, H, W)."""
    total = sum(np.float32(weight) * one for weight, one in zip(weights, maps, strict=True) if weight > 0)
    return np.rint(np.clip(total, 0, 255)).astype(np.uint8)


def remove_small(mask: np.ndarray, min_area: int) -> np.ndarray:
    """Removes 8-connected components of fewer than `min_area` px from each class of a mask (C, H, W) bool."""
    if min_area <= 1:
        return mask
    kept = []
    for plane in mask:
        _, labels, stats, _ = cv2.connectedComponentsWithStats(plane.astype(np.uint8), connectivity=8)
        large = stats[:, cv2.CC_STAT_AREA] >= min_area
        large[0] = False  # the background
        kept.append(large[labels])
    return np.stack(kept)


def count_areas(mask: np.ndarray, target: np.ndarray, valid: np.ndarray, areas: list[int]) -> np.ndarray:
    """Counts (len(areas), C, 3) of a mask after `remove_small` with each of `areas`, from one labelling.

    mask, target, valid: (C, H, W) bool.
    """
    counts = np.zeros((len(areas), len(mask), 3), np.int64)
    for c, (plane, truth, counted) in enumerate(zip(mask, target, valid, strict=True)):
        _, labels, stats, _ = cv2.connectedComponentsWithStats(plane.astype(np.uint8), connectivity=8)
        sizes = stats[:, cv2.CC_STAT_AREA].copy()
        sizes[0] = -1  # the background is never kept
        hits = np.bincount(labels[truth & counted], minlength=len(sizes))
        misses = np.bincount(labels[~truth & counted], minlength=len(sizes))
        for a, area in enumerate(areas):
            kept = sizes >= area
            true_positive = hits[kept].sum()
            counts[a, c] = true_positive, misses[kept].sum(), (truth & counted).sum() - true_positive
    return counts

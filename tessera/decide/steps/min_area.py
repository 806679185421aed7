"""Steps `min_area` and `min_area_um2`: connected components that are too small are removed."""

import math

import cv2
import numpy as np


def min_area(mask: np.ndarray, area: int, spacing: tuple[float, float]) -> np.ndarray:
    """Removes 8-connected components of fewer than `area` px from each class of a mask (C, H, W) bool."""
    if area <= 1:
        return mask
    kept = []
    for plane in mask:
        _, labels, stats, _ = cv2.connectedComponentsWithStats(plane.astype(np.uint8), connectivity=8)
        large = stats[:, cv2.CC_STAT_AREA] >= area
        large[0] = False  # the background
        kept.append(large[labels])
    return np.stack(kept)


def min_area_um2(mask: np.ndarray, area: float, spacing: tuple[float, float]) -> np.ndarray:
    """Like `min_area`, with `area` in µm²; spacing: µm between px, along y and x."""
    return min_area(mask, in_px(area, spacing), spacing)


def in_px(area: float, spacing: tuple[float, float]) -> int:
    """The fewest whole px that cover an area in µm²."""
    return math.ceil(area / (spacing[0] * spacing[1]) - 1e-9)


def count_areas(mask: np.ndarray, target: np.ndarray, valid: np.ndarray, areas: list[int]) -> np.ndarray:
    """Counts (len(areas), C, 3) of a mask after `min_area` with each of `areas` (px), from one labelling.

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

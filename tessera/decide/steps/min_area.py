"""Steps `min_area` and `min_area_um2`: connected components that are too small are removed."""

import math

import numpy as np

from tessera.decide.components import counts_of_kept, label


def min_area(mask: np.ndarray, area: int, spacing: tuple[float, float]) -> np.ndarray:
    """Removes 8-connected components of fewer than `area` px from each class of a mask (C, H, W) bool."""
    kept = []
    for plane in mask:
        labels, areas = label(plane)
        kept.append(_large(areas, area)[labels])
    return np.stack(kept)


def min_area_um2(mask: np.ndarray, area: float, spacing: tuple[float, float]) -> np.ndarray:
    """Like `min_area`, with `area` in µm²; spacing: µm between px, along y and x."""
    return min_area(mask, _in_px(area, spacing), spacing)


def area_counts(
    mask: np.ndarray, target: np.ndarray, valid: np.ndarray, values: list[int], spacing: tuple[float, float]
) -> np.ndarray:
    """Counts (len(values), C, 3) of a mask after `min_area` with each value, from one labelling.

    mask, target, valid: (C, H, W) bool.
    """
    counts = []
    for plane, truth, counted in zip(mask, target, valid, strict=True):
        labels, areas = label(plane)
        counts.append(counts_of_kept(labels, truth, counted, [_large(areas, value) for value in values]))
    return np.stack(counts, 1)


def area_um2_counts(
    mask: np.ndarray, target: np.ndarray, valid: np.ndarray, values: list[float], spacing: tuple[float, float]
) -> np.ndarray:
    """Like `area_counts`, with values in µm²."""
    return area_counts(mask, target, valid, [_in_px(value, spacing) for value in values], spacing)


def _large(areas: np.ndarray, area: int) -> np.ndarray:
    return areas >= max(area, 1)  # the background's area is 0


def _in_px(area: float, spacing: tuple[float, float]) -> int:
    """The fewest whole px that cover an area in µm²; less than a millionth of a px too little is rounding."""
    return math.ceil(area / (spacing[0] * spacing[1]) - 1e-6)

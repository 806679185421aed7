"""Steps `min_area` and `min_area_um2`: connected components that are too small are removed."""

import math
from functools import partial

import numpy as np

from tessera.decide.components import keep, keep_counts


def min_area(mask: np.ndarray, area: int, spacing: tuple[float, float]) -> np.ndarray:
    """Removes 8-connected components of fewer than `area` px from each class of a mask (C, H, W) bool."""
    return keep(mask, partial(_large, area))


def min_area_um2(mask: np.ndarray, area: float, spacing: tuple[float, float]) -> np.ndarray:
    """Like `min_area`, with `area` in µm²; spacing: µm between px, along y and x."""
    return min_area(mask, _in_px(area, spacing), spacing)


def area_counts(
    mask: np.ndarray, target: np.ndarray, valid: np.ndarray, values: list[int], spacing: tuple[float, float]
) -> np.ndarray:
    """Counts (len(values), C, 3) of a mask after `min_area` with each value, from one labelling.

    mask, target, valid: (C, H, W) bool.
    """
    return keep_counts(mask, target, valid, [partial(_large, value) for value in values])


def area_um2_counts(
    mask: np.ndarray, target: np.ndarray, valid: np.ndarray, values: list[float], spacing: tuple[float, float]
) -> np.ndarray:
    """Like `area_counts`, with values in µm²."""
    return area_counts(mask, target, valid, [_in_px(value, spacing) for value in values], spacing)


def _large(area: int, areas: np.ndarray) -> np.ndarray:
    return areas >= max(area, 1)  # the background's area is 0


def _in_px(area: float, spacing: tuple[float, float]) -> int:
    """The fewest whole px that cover an area in µm²; less than a millionth of a px too little is rounding."""
    return math.ceil(area / (spacing[0] * spacing[1]) - 1e-6)

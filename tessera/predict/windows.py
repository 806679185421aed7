"""Overlapping windows over a plane and their weighted sum."""

from typing import NamedTuple

import numpy as np

from tessera.data.patches import grid


class Plan(NamedTuple):
    """Windows (y, x) of one size over a plane of (height, width), padded where it is smaller than a window."""

    size: tuple[int, int]
    padded: tuple[int, int]
    places: list[tuple[int, int]]


def plan_windows(height: int, width: int, window: int, overlap: float, multiple: int) -> Plan:
    """Windows of at most `window` px that overlap by the share `overlap`.

    A side shorter than the window gets one window of the side's length, rounded up to `multiple`.
    """
    size = tuple(min(window, -(-side // multiple) * multiple) for side in (height, width))
    padded = tuple(max(side, length) for side, length in zip((height, width), size, strict=True))
    starts = [
        grid(side, length, max(1, round(length * (1 - overlap)))) for side, length in zip(padded, size, strict=True)
    ]
    return Plan(size, padded, [(y, x) for y in starts[0] for x in starts[1]])


def pad(pixels: np.ndarray, plan: Plan) -> np.ndarray:
    """Mirrors pixels (C, H, W) at the lower and right edge to the plan's size."""
    lack = [after - side for after, side in zip(plan.padded, pixels.shape[1:], strict=True)]
    return np.pad(pixels, ((0, 0), (0, lack[0]), (0, lack[1])), mode="reflect") if any(lack) else pixels


def gaussian(size: tuple[int, int]) -> np.ndarray:
    """Weights (h, w) float32 in (0, 1]: 1 at the centre, σ an eighth of the side. Source: Isensee et al. 2021, nnU-Net."""
    sides = [np.exp(-0.5 * ((np.arange(length) - (length - 1) / 2) / (length / 8)) ** 2) for length in size]
    weights = np.outer(*sides)
    return np.maximum(weights / weights.max(), 1e-3).astype(np.float32)


class Stitcher:
    """Weighted mean of window maps (C, h, w) on a plane."""

    def __init__(self, plan: Plan, channels: int):
        self.weights = gaussian(plan.size)
        self.sum = np.zeros((channels, *plan.padded), np.float32)
        self.total = np.zeros(plan.padded, np.float32)

    def add(self, y: int, x: int, values: np.ndarray) -> None:
        """Adds a window whose upper left corner is (y, x)."""
        place = np.s_[y : y + values.shape[1], x : x + values.shape[2]]
        self.sum[(slice(None), *place)] += values * self.weights
        self.total[place] += self.weights

    def mean(self, height: int, width: int) -> np.ndarray:
        """The mean map (C, height, width) float32, without padding."""
        return (self.sum / self.total)[:, :height, :width]

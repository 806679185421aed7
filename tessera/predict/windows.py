"""Overlapping windows over a plane, and how much each of their pixels counts."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from tessera.data.patches import grid

BESIDE = 1e-4  # of a centre's weight, that what lies beside it has: it counts where no centre does, at the border


class Place(NamedTuple):
    """A window's place: in the grid, and its upper left corner in px."""

    row: int
    column: int
    y: int
    x: int


class Plan(NamedTuple):
    """Windows of one size over a plane of (height, width), padded where it is smaller than a window."""

    size: tuple[int, int]
    padded: tuple[int, int]
    starts: tuple[list[int], list[int]]  # of the rows and the columns of the grid

    @property
    def rows(self) -> Iterator[list[Place]]:
        """The windows by rows of the grid, from top to bottom."""
        for row, y in enumerate(self.starts[0]):
            yield [Place(row, column, y, x) for column, x in enumerate(self.starts[1])]


def plan_windows(height: int, width: int, window: int, overlap: float, multiple: int) -> Plan:
    """Windows of at most `window` px that overlap by the share `overlap`.

    A side shorter than the window gets one window of the side's length, rounded up to `multiple`.
    """
    size = tuple(min(window, -(-side // multiple) * multiple) for side in (height, width))
    padded = tuple(max(side, length) for side, length in zip((height, width), size, strict=True))
    starts = tuple(grid(side, length, stride_of(length, overlap)) for side, length in zip(padded, size, strict=True))
    return Plan(size, padded, starts)


def stride_of(length: int, overlap: float) -> int:
    """Px between the starts of two windows that overlap by the share `overlap`."""
    return max(1, round(length * (1 - overlap)))


def gaussian(length: int, overlap: float) -> np.ndarray:
    """1 in the middle, σ an eighth of the side. Source: Isensee et al. 2021, nnU-Net."""
    return np.exp(-0.5 * ((np.arange(length) - (length - 1) / 2) / (length / 8)) ** 2)


def pyramid(length: int, overlap: float) -> np.ndarray:
    """Falls in straight lines from the middle to both sides."""
    return 1 - np.abs(np.arange(length) - (length - 1) / 2) / ((length + 1) / 2)


def centre(length: int, overlap: float) -> np.ndarray:
    """1 in the middle that neighbours leave to a window, next to nothing beside it."""
    stride = stride_of(length, overlap)
    first = (length - stride) // 2
    return np.where((np.arange(length) >= first) & (np.arange(length) < first + stride), 1, BESIDE)


WEIGHTS: dict[str, Callable[[int, float], np.ndarray]] = {"gaussian": gaussian, "pyramid": pyramid, "centre": centre}


def build_weights(name: str, size: tuple[int, int], overlap: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights (h,) and (w,) in (0, 1] of a window's rows and columns. A px of it weighs the product of both."""
    return tuple(WEIGHTS[name](length, overlap) for length in size)


def running_shares(weights: np.ndarray, starts: list[int]) -> list[np.ndarray]:
    """By window along an axis, the shares (length,) float32 of its px in the weight so far: 1 where none came before."""
    total, shares = np.zeros(starts[-1] + len(weights)), []
    for start in starts:
        covered = total[start : start + len(weights)]
        covered += weights
        shares.append((weights / covered).astype(np.float32))
    return shares

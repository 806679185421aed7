"""Overlapping windows over a plane, and how much each of their pixels counts."""

from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
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


class Run(NamedTuple):
    """Stretches of an axis, side by side, that windows cover in the same way."""

    start: int  # px
    length: int  # of one
    count: int
    others: tuple[int, ...]  # from a stretch's start, where a window starts: the starts of others that reach into it

    @property
    def starts(self) -> range:
        """Of the stretches, up to the end of the last one."""
        return range(self.start, self.start + self.count * self.length, self.length)


def runs_of(starts: list[int], size: int) -> list[Run]:
    """From each window's start to the next one's, and to the last one's end."""
    stretches = [
        (end - start, tuple(other - start for other in starts if start - size < other < end and other != start))
        for start, end in pairwise([*starts, starts[-1] + size])
    ]
    runs, first = [], 0
    for (length, others), alike in groupby(stretches):
        count = len(list(alike))
        runs.append(Run(starts[first], length, count, others))
        first += count
    return runs


def gaussian(size: tuple[int, int], overlap: float) -> np.ndarray:
    """1 at the centre, σ an eighth of the side. Source: Isensee et al. 2021, nnU-Net."""
    sides = [np.exp(-0.5 * ((np.arange(length) - (length - 1) / 2) / (length / 8)) ** 2) for length in size]
    weights = np.outer(*sides)
    return np.maximum(weights / weights.max(), 1e-3)


def pyramid(size: tuple[int, int], overlap: float) -> np.ndarray:
    """Falls in straight lines from the centre to the nearest side."""
    sides = [1 - np.abs(np.arange(length) - (length - 1) / 2) / ((length + 1) / 2) for length in size]
    return np.minimum.outer(*sides)


def centre(size: tuple[int, int], overlap: float) -> np.ndarray:
    """1 in the middle that neighbours leave to a window, next to nothing beside it."""
    sides = []
    for length in size:
        stride = stride_of(length, overlap)
        first = (length - stride) // 2
        sides.append(np.where((np.arange(length) >= first) & (np.arange(length) < first + stride), 1, BESIDE))
    return np.outer(*sides)


WEIGHTS: dict[str, Callable[[tuple[int, int], float], np.ndarray]] = {
    "gaussian": gaussian, "pyramid": pyramid, "centre": centre,
}  # fmt: skip


def build_weights(name: str, size: tuple[int, int], overlap: float) -> np.ndarray:
    """Weights (h, w) float32 in (0, 1] of a window's pixels."""
    return WEIGHTS[name](size, overlap).astype(np.float32)

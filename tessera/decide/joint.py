"""Coarse joint histograms: one pass over the models' maps tells, nearly, what every combination of weights would score.

Pixels on which all models say nearly the same, and of one truth, are one cell; only cells that hold pixels exist. A
combination is scored on the cells, of which there are a hundredth of the pixels. What scores best is to be scored again
on the pixels: a cell is some values wide.
"""

from typing import NamedTuple

import cv2
import numpy as np

from tessera.decide.blending import UP
from tessera.decide.histograms import IGNORED, POSITIVE, bands

LEVELS = 64  # of a model's values; they and the truth fit a byte
_FINE = 16  # values at either end that are levels of their own: there confident networks put most pixels
_WIDE = (256 - 2 * _FINE) // (LEVELS - 2 * _FINE)  # values of a level between
_ENDS = np.array([*range(_FINE), *range(_FINE, 256 - _FINE, _WIDE), *range(256 - _FINE, 257)])
_LEVEL = np.repeat(np.arange(LEVELS, dtype=np.uint8), np.diff(_ENDS))  # of a value
_AT_ONCE = 16  # combinations; fewer cost more calls, more leave the processor's cache
_VALUE = ((_ENDS[:-1] + _ENDS[1:] - 1) / 2).astype(np.float32)  # in the middle of a level


class Cells(NamedTuple):
    """levels (M, N) uint8: of each model; positive (N,) bool; pixels (N,): how many there are."""

    levels: np.ndarray
    positive: np.ndarray
    pixels: np.ndarray


def joint_cells(maps: np.ndarray, state: np.ndarray) -> list[Cells]:
    """The cells of each class. maps: (M, C, H, W) float32 in 0…255, M ≤ 8; state: (C, H, W) of `states`."""
    found: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in state]
    for c, band in bands(state.shape):
        found[c].append(np.unique(_codes(maps[:, c, band], state[c, band]), return_counts=True))
    return [_merge(of_bands, len(maps)) for of_bands in found]


def _codes(maps: np.ndarray, state: np.ndarray) -> np.ndarray:
    """A number a pixel, whose bytes are the models' levels; the first one's top bits are the truth."""
    planes = [cv2.LUT(cv2.convertScaleAbs(one), _LEVEL) for one in maps]
    planes[0] |= state << np.uint8(6)
    number = np.dtype(np.uint32 if len(planes) <= 4 else np.uint64)
    planes += [np.zeros_like(planes[0])] * (number.itemsize - len(planes))
    return cv2.merge(planes).view(number).ravel()


def _merge(of_bands: list[tuple[np.ndarray, np.ndarray]], models: int) -> Cells:
    codes, where = np.unique(np.concatenate([codes for codes, _ in of_bands]), return_inverse=True)
    pixels = np.bincount(where, np.concatenate([counts for _, counts in of_bands]), len(codes))
    planes = codes.view(np.uint8).reshape(len(codes), codes.itemsize)[:, :models].T.copy()
    truth = planes[0] >> 6
    planes[0] &= LEVELS - 1
    counted = truth != IGNORED
    return Cells(planes[:, counted], truth[counted] == POSITIVE, pixels[counted])


def coarse_histograms(cells: Cells, weights: np.ndarray) -> np.ndarray:
    """Histograms (W, 2, 64) uint32 over levels of the blended values, one a combination of weights (W, M)."""
    values = np.vstack([_VALUE[cells.levels], np.where(cells.positive, 256 + UP, UP).astype(np.float32)])
    rows = np.column_stack([weights, np.ones(len(weights))]).astype(np.float32)
    found = np.empty((len(weights), 512))
    blended, place = np.empty((_AT_ONCE, len(cells.pixels)), np.float32), np.empty(len(cells.pixels), np.intp)
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        for number, row in enumerate(np.matmul(some, values, out=blended[: len(some)]), start):
            np.copyto(place, row, casting="unsafe")
            found[number] = np.bincount(place, cells.pixels, 512)
    return np.add.reduceat(found.reshape(-1, 2, 256), _ENDS[:-1], -1).astype(np.uint32)

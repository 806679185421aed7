"""What a bug between the predictions and the submission makes of them, and where to look for it.

A row that is a part of a plane is changed by itself, as if it were an image.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tessera.decide.decision import Decision

Change = Callable[[np.ndarray], np.ndarray]


class Bug(NamedTuple):
    """What the bug makes of maps, probabilities (M, C, H, W) in 0…255; of the decision on them; and of the mask,
    (C, H, W) bool, that follows. look: what to look at."""

    name: str
    look: str
    maps: Change = lambda maps: maps
    decision: Callable[[Decision], Decision] = lambda decision: decision
    mask: Change = lambda mask: mask


AS_DECIDED = Bug("as decided", "")
_ORDER = "the order of the runs (down columns or along rows); (height, width) against (width, height)"
_TURN = "how test images are read (orientation tag, axes); a view that was not turned back"
_HALF = "how maps are brought back to the original size: centres or corners of pixels (align_corners)"
_ONE = "whether runs count from 0 or 1; padding that was cut off at the wrong side"
_LEVEL = "the thresholds that the kernel applies, rounding, other views or weights; test images of another domain"
_PAIR = "the order of data.classes and of the rows of the submission"


def bugs(classes: list[str], square: bool) -> list[Bug]:
    """All of them. square: whether every row is, so that both ways to mistake the order of runs are one."""
    orders = [("transposed (runs along rows, read down columns)", _by_rows)]
    if not square:
        orders.append(("transposed (runs down columns, read along rows)", _by_columns))
    pairs = itertools.combinations(range(len(classes)), 2)
    return [
        *(Bug(name, _ORDER, mask=change) for name, change in orders),
        Bug("flipped left-right", _TURN, mask=lambda mask: mask[:, :, ::-1]),
        Bug("flipped top-bottom", _TURN, mask=lambda mask: mask[:, ::-1]),
        *(Bug(f"rotated by {90 * turns}°", _TURN, mask=_rotated(turns)) for turns in (1, 2, 3)),
        Bug("inverted", "which value or channel is the class; runs of the background", mask=np.logical_not),
        Bug("empty", "ids that are not those asked for; levels that nothing reaches", mask=np.zeros_like),
        *(_shift(px, axes) for px, axes in itertools.product((0.5, 1), ("x", "y", "xy"))),
        *(Bug(f"thresholds {by / 255:+.2f}", _LEVEL, decision=_raised(by)) for by in (-51, -26, -13, 13, 26, 51)),
        *(
            Bug(f"{classes[one]} and {classes[other]} swapped", _PAIR, mask=_swapped(one, other))
            for one, other in pairs
        ),
    ]  # fmt: skip


def _by_rows(mask: np.ndarray) -> np.ndarray:
    """Written along rows, read down columns; of a square mask the transposed one."""
    return np.stack([plane.ravel().reshape(plane.shape, order="F") for plane in mask])


def _by_columns(mask: np.ndarray) -> np.ndarray:
    return np.stack([plane.ravel(order="F").reshape(plane.shape) for plane in mask])


def _rotated(turns: int) -> Change:
    """Rotated anticlockwise; what is not square is then read in the shape that it had."""
    return lambda mask: np.rot90(mask, turns, (1, 2)).reshape(mask.shape)


def _shift(px: float, axes: str) -> Bug:
    way = {"x": "right", "y": "down", "xy": "right and down"}[axes]

    def change(maps: np.ndarray) -> np.ndarray:
        for axis in axes:
            moved = _moved(maps, {"x": -1, "y": -2}[axis])
            maps = moved if px == 1 else (maps + moved) / 2
        return maps

    return Bug(f"shifted by {px:g} px {way}", _ONE if px == 1 else _HALF, maps=change)


def _moved(maps: np.ndarray, axis: int) -> np.ndarray:
    """Moved by one along an axis; the first line is repeated."""
    before = np.arange(-1, maps.shape[axis] - 1).clip(0)
    return np.take(maps, before, axis)


def _raised(by: int) -> Callable[[Decision], Decision]:
    """All thresholds of a decision by so many of 255 higher; of a cut that has none, `quantile`, nothing changes."""
    places = {"threshold": [0], "hysteresis": [0, 1], "triplet": [0, 2], "quantile": []}  # of thresholds in a level

    def raised(cut: str, level: float | list) -> float | list:
        numbers = level if isinstance(level, list) else [level]
        moved = [number + by * (place in places[cut]) for place, number in enumerate(numbers)]
        return moved if isinstance(level, list) else moved[0]

    def change(decision: Decision) -> Decision:
        levels = {name: [raised(decision.cut, level) for level in own] for name, own in decision.levels.items()}
        return replace(decision, levels=levels)

    return change


def _swapped(one: int, other: int) -> Change:
    def change(mask: np.ndarray) -> np.ndarray:
        order = np.arange(len(mask))
        order[[one, other]] = other, one
        return mask[order]

    return change

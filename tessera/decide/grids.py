"""The levels of each cut that a search looks at: a grid, then `finer` ones nearer and nearer to those that are chosen.

Where a row's counts at many levels come at once, the grid is the one of `DENSE`; where each level is a mask to be measured,
that of `COARSE`. Values lie closest at both ends, where confident networks and rare classes put theirs.
"""

import itertools
import math

import numpy as np

ROUNDS = 4  # of finer levels
_ENDS = {"value": (1, 255), "area": (1, 2**16), "share": (1e-6, 1.0)}  # of what can be reached
_VALUES = [1, 3, 8, *range(16, 256, 16), 248, 253]


def _shares(number: int) -> list[float]:
    """From a px of 1024² to all of them."""
    return [float(f"{share:.4g}") for share in np.geomspace(*_ENDS["share"], number)]


def _pairs(values: list[int]) -> list[list[int]]:
    return [list(pair) for pair in itertools.combinations_with_replacement(values, 2)]


def _triplets(values: list[int], areas: list[int]) -> list[list[int]]:
    return sorted([top, area, bottom] for bottom, top in _pairs(values) for area in areas)


COARSE = {
    "threshold": [4, *range(16, 256, 16), 252],
    "quantile": _shares(21),
    "hysteresis": _pairs([8, *range(32, 256, 32), 248]),
    "triplet": _triplets([8, 32, 80, 128, 176, 224, 248], [1, 64, 512, 4096]),
}
DENSE = {
    "quantile": _shares(100),
    "hysteresis": _pairs(_VALUES),  # a labelling a low
    "triplet": _triplets(_VALUES, [1, 16, 256, 4096, 2**16]),
}
_NUMBERS = {
    "threshold": ["value"], "quantile": ["share"], "hysteresis": ["value", "value"], "triplet": ["value", "area", "value"],
}  # fmt: skip
# which of a level's numbers are moved at once, and which against the others; of two values one bounds the other, and above
# a higher one lie fewer px
_WAYS = {
    "threshold": [[1]],
    "quantile": [[1]],
    "hysteresis": [[1, 0], [0, 1], [1, 1]],
    "triplet": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, -1, 1]],
}


def finer(cut: str, grid: list, levels: list, chosen: list, number: int) -> list:
    """The levels, and those about the chosen ones: half a step of the grid away, then a quarter, …; number: of the round,
    from 0."""
    known = {str(level) for level in levels}
    moved = {str(new): new for level in chosen for new in _about(cut, grid, level, 0.5 ** (number + 1))}
    return sorted([*levels, *(new for name, new in moved.items() if name not in known)])


def _about(cut: str, grid: list, level: int | float | list[int], step: float) -> list:
    """The levels a part of a step of the grid away from a level."""
    if not isinstance(level, list):
        return [new for (new,) in _about(cut, [[one] for one in grid], [level], step)]
    lines = [sorted({one[n] for one in grid}) for n in range(len(level))]
    found = [
        [_moved(*of, by * sign) if by else of[-1] for *of, by in zip(_NUMBERS[cut], lines, level, way, strict=True)]
        for way in _WAYS[cut]
        for sign in (-step, step)
    ]
    return [new for new in found if _is_level(cut, new)]


def _is_level(cut: str, level: list[int]) -> bool:
    """Of two values, the lower one is a pair's first and a triplet's last."""
    return {"hysteresis": level[0] <= level[-1], "triplet": level[-1] <= level[0]}.get(cut, True)


def _moved(kind: str, lines: list, number: float, by: float) -> int | float:
    """A number moved by a part of the distance between the grid's lines about it (areas and shares: of their logarithms), a
    whole one by 1 at least; at most to the end of its kind."""
    lines = np.unique([*_ENDS[kind], *lines])
    to, back = (np.asarray, np.asarray) if kind == "value" else (np.log, np.exp)
    places = np.arange(len(lines))
    moved = float(back(np.interp(np.interp(to(number), to(lines), places) + by, places, to(lines))))
    if kind == "share":
        return float(f"{moved:.4g}")
    return (math.ceil if by > 0 else math.floor)(round(moved, 6))  # what is inexact must not count as more

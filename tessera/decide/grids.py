"""The levels of each cut that a search looks at.

Where a row's counts at many levels come at once (`COUNTS`), all of `DENSE`; where each level is a mask to be measured, those
of `COARSE`, then `finer` ones nearer and nearer to those that are chosen.
"""

import numpy as np

from tessera.decide.cuts.hysteresis import hysteresis_counts
from tessera.decide.cuts.quantile import quantile_counts
from tessera.decide.cuts.triplet import triplet_counts

ROUNDS = 4  # of finer levels
_FINE, _WIDE = range(16, 256, 16), range(32, 256, 32)
_RATIO = 1.6  # of neighbouring shares
COARSE = {
    "threshold": list(_FINE),
    "quantile": [float(f"{0.001 * _RATIO**number:.4g}") for number in range(15)],
    "hysteresis": [[low, high] for low in _WIDE for high in _WIDE if low <= high],
    "triplet": [[top, area, bottom] for top in _WIDE for area in (1, 64, 512) for bottom in _WIDE if bottom <= top],
}
DENSE = {
    "quantile": [float(f"{0.0005 * 1.08**number:.4g}") for number in range(99)],
    "hysteresis": [[low, high] for low in _FINE for high in range(low, 256, 8)],  # a labelling a low
    "triplet": [[top, area, low] for top in _FINE for area in (1, 16, 64, 256, 1024) for low in _FINE if low <= top],
}


def finer(cut: str, levels: list, chosen: list, number: int) -> list:
    """The levels and, by halved steps, those about the chosen ones; number: of the round, from 0."""
    moved = [new for level in chosen for new in _MOVES[cut](level, 0.5 ** (number + 1))]
    return sorted([*levels, *(new for n, new in enumerate(moved) if new not in levels and new not in moved[:n])])


def _move_value(value: int, share: float, step: int = 16) -> list[int]:
    return [new for new in (value - round(step * share), value + round(step * share)) if 1 <= new <= 255]


def _move_quantile(value: float, share: float) -> list[float]:
    return [float(f"{min(1.0, value * _RATIO**power):.4g}") for power in (-share, share)]


def _move_pair(pair: list[int], share: float) -> list[list[int]]:
    low, high = pair
    moved = [[new, high] for new in _move_value(low, share, 32)] + [[low, new] for new in _move_value(high, share, 32)]
    return [new for new in moved if new[0] <= new[1]]


def _move_triplet(triplet: list[int], share: float) -> list[list[int]]:
    top, area, bottom = triplet
    pairs = [[new, area, old] for old, new in _move_pair([bottom, top], share)]
    return pairs + [[top, new, bottom] for new in (round(area * 8**-share), round(area * 8**share)) if new >= 1]


_MOVES = {
    "threshold": _move_value, "quantile": _move_quantile, "hysteresis": _move_pair, "triplet": _move_triplet,
}  # fmt: skip


def _hysteresis_counts(blended: np.ndarray, target: np.ndarray, valid: np.ndarray, pairs: list) -> np.ndarray:
    lows = sorted({low for low, _ in pairs})
    found = hysteresis_counts(blended, target, valid, lows)  # (lows, C, 255, 3)
    return found[[lows.index(low) for low, _ in pairs], :, [high - 1 for _, high in pairs]]


# cut → function(blended, target, valid, levels) → counts (L, C, 3) of a row: cheaper than a mask a level
COUNTS = {"quantile": quantile_counts, "hysteresis": _hysteresis_counts, "triplet": triplet_counts}

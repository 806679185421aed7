"""The levels of each cut that a search looks at.

`COUNTED`: cuts whose masks are known from the histogram of a row, so that every level is looked at at once. For scores
and cuts that need masks: `COARSE` levels to begin with, then `finer` ones around those that are chosen.
"""

import numpy as np

from tessera.decide.histograms import counts_by_threshold

ROUNDS = 4  # of finer levels
_VALUES = range(16, 256, 16)
_WIDE = range(32, 256, 32)
COARSE = {
    "threshold": list(_VALUES),
    "quantile": [float(f"{share:.3g}") for share in np.geomspace(0.001, 0.9, 14)],
    "hysteresis": [[low, high] for low in _WIDE for high in _WIDE if low <= high],
    "triplet": [[top, area, bottom] for top in _WIDE for area in (1, 64, 512) for bottom in _WIDE if bottom <= top],
}


def finer(cut: str, levels: list, around: list, number: int) -> list:
    """The levels and those nearer to the ones of `around`; number: of the round, from 0."""
    half = 2.0 ** -(number + 1)
    return sorted({*map(_key, levels), *(_key(moved) for level in around for moved in MOVES[cut](level, half))})

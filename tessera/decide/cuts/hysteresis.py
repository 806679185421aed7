"""Cut `hysteresis`: what is fairly probable, where it hangs together with what is very probable. Source: Canny 1986."""

import numpy as np

from tessera.decide.components import label


def hysteresis(blended: np.ndarray, levels: list[tuple[int, int]]) -> np.ndarray:
    """blended (C, H, W) uint8, levels: low and high in 1…255, one pair a class → mask (C, H, W) bool.

    Positive are the 8-connected components of px ≥ low that hold a px ≥ high.
    """
    found = []
    for plane, (low, high) in zip(blended, levels, strict=True):
        labels, areas = label(plane >= low)
        found.append((_maxima(plane, labels, len(areas)) >= high)[labels])
    return np.stack(found)


def hysteresis_counts(blended: np.ndarray, target: np.ndarray, valid: np.ndarray, lows: list[int]) -> np.ndarray:
    """Counts (len(lows), C, 255, 3) of a row at each low and every high 1…255 (at index high − 1), one labelling a low.

    target, valid: (C, H, W) bool.
    """
    counts = np.zeros((len(lows), len(blended), 255, 3), np.int64)
    for c, (plane, truth, counted) in enumerate(zip(blended, target, valid, strict=True)):
        sides = truth & counted, ~truth & counted
        for n, low in enumerate(lows):
            labels, areas = label(plane >= low)
            maxima = _maxima(plane, labels, len(areas))
            for column, side in enumerate(sides):
                pixels = np.bincount(labels[side], minlength=len(areas))  # of each component
                by_peak = np.bincount(maxima, pixels, 256)
                counts[n, c, :, column] = by_peak[::-1].cumsum()[::-1][1:]
        counts[:, c, :, 2] = sides[0].sum() - counts[:, c, :, 0]
    return counts


def _maxima(plane: np.ndarray, labels: np.ndarray, number: int) -> np.ndarray:
    """The highest value of each component (number,) uint8; 0 of the background."""
    maxima = np.zeros(number, np.uint8)
    np.maximum.at(maxima, labels.ravel(), plane.ravel())
    maxima[0] = 0
    return maxima

"""Step `largest`: the largest objects of a row are kept."""

from functools import partial

import numpy as np

from tessera.decide.components import keep, keep_counts


def largest(mask: np.ndarray, number: int, spacing: tuple[float, float]) -> np.ndarray:
    """Keeps the `number` largest 8-connected components of each class of a mask (C, H, W) bool.

    Of equally large ones that which OpenCV labels first.
    """
    return keep(mask, partial(_first, number))


def largest_counts(
    mask: np.ndarray, target: np.ndarray, valid: np.ndarray, values: list[int], spacing: tuple[float, float]
) -> np.ndarray:
    """Counts (len(values), C, 3) of a mask after `largest` with each value, from one labelling.

    mask, target, valid: (C, H, W) bool.
    """
    return keep_counts(mask, target, valid, [partial(_first, value) for value in values])


def _first(number: int, areas: np.ndarray) -> np.ndarray:
    """Whether fewer than `number` components are before each by area; the background, of no area, is out of reach."""
    ranks = np.empty(len(areas))
    ranks[np.argsort(-areas, kind="stable")] = np.arange(len(areas))
    ranks[0] = np.inf
    return ranks < number

"""Step `largest`: the largest objects of a row are kept."""

import numpy as np

from tessera.decide.components import counts_of_kept, label


def largest(mask: np.ndarray, number: int, spacing: tuple[float, float]) -> np.ndarray:
    """Keeps the `number` largest 8-connected components of each class of a mask (C, H, W) bool.

    Of equally large ones that which OpenCV labels first.
    """
    kept = []
    for plane in mask:
        labels, areas = label(plane)
        kept.append((_ranks(areas) < number)[labels])
    return np.stack(kept)


def largest_counts(
    mask: np.ndarray, target: np.ndarray, valid: np.ndarray, values: list[int], spacing: tuple[float, float]
) -> np.ndarray:
    """Counts (len(values), C, 3) of a mask after `largest` with each value, from one labelling.

    mask, target, valid: (C, H, W) bool.
    """
    counts = []
    for plane, truth, counted in zip(mask, target, valid, strict=True):
        labels, areas = label(plane)
        ranks = _ranks(areas)
        counts.append(counts_of_kept(labels, truth, counted, [ranks < value for value in values]))
    return np.stack(counts, 1)


def _ranks(areas: np.ndarray) -> np.ndarray:
    """How many components are before each by area; the background, of no area, is out of reach."""
    ranks = np.empty(len(areas))
    ranks[np.argsort(-areas, kind="stable")] = np.arange(len(areas))
    ranks[0] = np.inf
    return ranks

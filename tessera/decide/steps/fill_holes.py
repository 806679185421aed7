"""Step `fill_holes`: small holes in objects are filled."""

import numpy as np

from tessera.decide.components import counts_of_kept, label


def fill_holes(mask: np.ndarray, area: int, spacing: tuple[float, float]) -> np.ndarray:
    """Fills holes of at most `area` px in each class of a mask (C, H, W) bool.

    A hole is a 4-connected component of the background (objects are 8-connected) that does not touch the border.
    """
    filled = []
    for plane in mask:
        labels, holes = _holes(plane)
        filled.append(plane | ((holes > 0) & (holes <= area))[labels])
    return np.stack(filled)


def fill_counts(
    mask: np.ndarray, target: np.ndarray, valid: np.ndarray, values: list[int], spacing: tuple[float, float]
) -> np.ndarray:
    """Counts (len(values), C, 3) of a mask after `fill_holes` with each value, from one labelling.

    mask, target, valid: (C, H, W) bool.
    """
    counts = []
    for plane, truth, counted in zip(mask, target, valid, strict=True):
        labels, holes = _holes(plane)
        # One up, so that the mask, 0 here, is kept as well: 1.
        kept = [np.array([False, True, *((holes > 0) & (holes <= value))[1:]]) for value in values]
        counts.append(counts_of_kept(labels + 1, truth, counted, kept))
    return np.stack(counts, 1)


def _holes(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels (H, W) of what is not in the plane, and by label the area of the hole, 0 where it is none."""
    labels, areas = label(~plane, connectivity=4)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        areas[edge] = 0
    return labels, areas

"""Connected components of a plane, and what each of them would add to the counts of a mask."""

from collections.abc import Callable, Iterable

import cv2
import numpy as np


def label(plane: np.ndarray, connectivity: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Labels (H, W) int32 of the components of a plane (H, W) bool, 0 outside; and the area (number + 1,) of each.

    The background, 0, has area 0: it is never kept.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(plane.astype(np.uint8), connectivity=connectivity)
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    areas[0] = 0
    return labels, areas


Choice = Callable[
    [np.ndarray], np.ndarray
]  # areas (number + 1,) of components → which are kept, bool, never the background


def keep(mask: np.ndarray, choice: Choice) -> np.ndarray:
    """The chosen 8-connected components of each class of a mask (C, H, W) bool."""
    kept = []
    for plane in mask:
        labels, areas = label(plane)
        kept.append(choice(areas)[labels])
    return np.stack(kept)


def keep_counts(mask: np.ndarray, target: np.ndarray, valid: np.ndarray, choices: list[Choice]) -> np.ndarray:
    """Counts (len(choices), C, 3) of a mask after `keep` with each choice, from one labelling; all (C, H, W) bool."""
    counts = []
    for plane, truth, counted in zip(mask, target, valid, strict=True):
        labels, areas = label(plane)
        counts.append(counts_of_kept(labels, truth, counted, [choice(areas) for choice in choices]))
    return np.stack(counts, 1)


def counts_of_kept(labels: np.ndarray, target: np.ndarray, valid: np.ndarray, kept: Iterable[np.ndarray]) -> np.ndarray:
    """Counts (len(kept), 3) of the plane that keeps these components, for each of `kept` (number + 1,) bool.

    labels: (H, W), from `label`. target, valid: (H, W) bool. kept[0], the background, is False.
    """
    positive = target & valid
    hits = np.bincount(labels[positive])
    misses = np.bincount(labels[valid & ~target])
    counts = []
    for chosen in kept:
        true_positive = hits[chosen[: len(hits)]].sum()
        counts.append((true_positive, misses[chosen[: len(misses)]].sum(), positive.sum() - true_positive))
    return np.array(counts, np.int64)

"""Cut `triplet`: a class is there if enough is very probable, and then reaches to where it is fairly probable.

Source: the first prize of SIIM-ACR Pneumothorax Segmentation, 2019 ("triplet scheme": top, minimum area, bottom).
"""

import numpy as np

from tessera.decide.histograms import counts_by_threshold, histogram


def triplet(blended: np.ndarray, levels: list[tuple[int, int, int]]) -> np.ndarray:
    """blended (C, H, W) uint8, levels: top, area, bottom, one triplet a class → mask (C, H, W) bool.

    A class is empty in the row where fewer than `area` px are ≥ top (1…255); else px ≥ bottom (1…255) are positive.
    """
    found = []
    for plane, (top, area, bottom) in zip(blended, levels, strict=True):
        there = np.count_nonzero(plane >= top) >= area
        found.append((plane >= bottom) & there)
    return np.stack(found)


def triplet_counts(
    blended: np.ndarray, target: np.ndarray, valid: np.ndarray, triplets: list[tuple[int, int, int]]
) -> np.ndarray:
    """Counts (len(triplets), C, 3) of a row cut by each triplet, from its histograms.

    target, valid: (C, H, W) bool. The area is one of all px; what is not valid is in no count.
    """
    tops, areas, bottoms = np.array(triplets).T
    by_threshold = counts_by_threshold(histogram(blended, target, valid))  # (C, 255, 3)
    found = by_threshold[:, bottoms - 1]  # (C, T, 3)
    for plane, counts in zip(blended, found, strict=True):
        at_least = np.bincount(plane.ravel(), minlength=256)[::-1].cumsum()[::-1]
        empty = at_least[tops] < areas
        counts[empty, 2] += counts[empty, 0]
        counts[empty, :2] = 0
    return found.swapaxes(0, 1)

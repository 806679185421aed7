"""Cut `triplet`: a class is there if enough is very probable, and then reaches to where it is fairly probable.

Source: the first prize of SIIM-ACR Pneumothorax Segmentation, 2019 ("triplet scheme": top, minimum area, bottom).
"""

import numpy as np

from tessera.decide.histograms import NEGATIVE, counts_by_threshold


def triplet(blended: np.ndarray, levels: list[tuple[int, int, int]]) -> np.ndarray:
    """blended (C, H, W) uint8, levels: top, area, bottom, one triplet a class → mask (C, H, W) bool.

    A class is empty in the row where fewer than `area` px are ≥ top (1…255); else px ≥ bottom (1…255) are positive.
    """
    found = []
    for plane, (top, area, bottom) in zip(blended, levels, strict=True):
        there = np.count_nonzero(plane >= top) >= area
        found.append((plane >= bottom) & there)
    return np.stack(found)


def triplet_counts(histograms: np.ndarray, triplets: list[tuple[int, int, int]]) -> np.ndarray:
    """Counts (len(triplets), C, 3) of a row cut by each triplet, from its `histogram_of_states` (C, 3, 256).

    The area is one of all px; what is not valid is in no count.
    """
    tops, areas, bottoms = np.array(triplets).T
    found = counts_by_threshold(histograms[:, NEGATIVE:])[:, bottoms - 1]  # (C, T, 3)
    at_least = histograms.sum(1)[:, ::-1].cumsum(1)[:, ::-1]
    empty = at_least[:, tops] < areas
    found[empty, 2] += found[empty, 0]
    found[empty, :2] = 0
    return found.swapaxes(0, 1)

"""Cut `hysteresis`: what is fairly probable, where it hangs together with what is very probable. Source: Canny 1986."""

import cv2
import numpy as np

from tessera.decide.histograms import counts_by_threshold, histogram


def hysteresis(blended: np.ndarray, levels: list[tuple[int, int]]) -> np.ndarray:
    """blended (C, H, W) uint8, levels: low and high in 1…255, one pair a class → mask (C, H, W) bool.

    Positive are the 8-connected components of px ≥ low that hold a px ≥ high.
    """
    return np.stack([_peaks(plane, low) >= high for plane, (low, high) in zip(blended, levels, strict=True)])


def hysteresis_counts(blended: np.ndarray, target: np.ndarray, valid: np.ndarray, pairs: list[list[int]]) -> np.ndarray:
    """Counts (len(pairs), C, 3) of a row cut at each low and high, one labelling a low.

    target, valid: (C, H, W) bool.
    """
    lows = sorted({low for low, _ in pairs})
    histograms = [histogram(np.stack([_peaks(plane, low) for plane in blended]), target, valid) for low in lows]
    found = counts_by_threshold(np.stack(histograms))  # (lows, C, 255, 3)
    return found[[lows.index(low) for low, _ in pairs], :, [high - 1 for _, high in pairs]]


def _peaks(plane: np.ndarray, low: int) -> np.ndarray:
    """The highest value of the component of px ≥ low that a px belongs to, 0 of other px; (H, W) uint8 both."""
    above = plane >= low
    number, labels = cv2.connectedComponents(above.view(np.uint8), connectivity=8)
    where = np.flatnonzero(above)  # mostly few px: the others cost nothing below
    components = labels.ravel()[where]
    highest = np.zeros(number, np.uint8)
    np.maximum.at(highest, components, plane.ravel()[where])
    peaks = np.zeros(plane.size, np.uint8)
    peaks[where] = highest[components]
    return peaks.reshape(plane.shape)

"""Where patches lie: grids over an image, and the index of candidate patches."""

import numpy as np
import pandas as pd

from tessera.tasks import IGNORE

COLUMNS = ["image_id", "z", "y", "x", "valid_fraction", "positive_fraction"]


def grid(length: int, size: int, stride: int) -> list[int]:
    """Starts of windows that cover 0…length; the last one is shifted to end there. One window if length ≤ size."""
    starts = list(range(0, max(length - size, 0), stride))
    return [*starts, max(length - size, 0)]


def index_slice(labels: np.ndarray, size: int, stride: int) -> pd.DataFrame:
    """Candidate patches of a label slice (H, W), columns y, x, valid_fraction, positive_fraction.

    Fractions: valid of the patch's pixels, positive of its valid pixels. Patches without a valid pixel are left out.
    """
    valid, positive = _integral(labels != IGNORE), _integral(labels == 1)
    rows = []
    for y in grid(labels.shape[0], size, stride):
        for x in grid(labels.shape[1], size, stride):
            window = (y, x, min(y + size, labels.shape[0]), min(x + size, labels.shape[1]))
            counted = _sum(valid, *window)
            area = (window[2] - y) * (window[3] - x)
            if counted:
                rows.append((y, x, counted / area, _sum(positive, *window) / counted))
    return pd.DataFrame(rows, columns=COLUMNS[2:])


def drop_empty(patches: pd.DataFrame, keep: float, seed: int) -> pd.DataFrame:
    """Keeps the share `keep` of the patches without positives, and all others."""
    empty = np.flatnonzero(patches.positive_fraction == 0)
    dropped = np.random.default_rng(seed).permutation(empty)[round(len(empty) * keep) :]
    return patches.drop(index=dropped).reset_index(drop=True)


def _integral(mask: np.ndarray) -> np.ndarray:
    return np.pad(mask.cumsum(0, dtype=np.int64).cumsum(1), ((1, 0), (1, 0)))


def _sum(integral: np.ndarray, y0: int, x0: int, y1: int, x1: int) -> int:
    return int(integral[y1, x1] - integral[y0, x1] - integral[y1, x0] + integral[y0, x0])

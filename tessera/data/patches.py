"""Where patches lie: grids over an image, and the index of candidate patches."""

import cv2
import numpy as np
import pandas as pd

from tessera.tasks import IGNORE

SATURATED = 40  # of 255 in HSV; glass and paper lie below

COLUMNS = ["image_id", "z", "y", "x", "valid_fraction", "positive_fraction"]


def grid(length: int, size: int, stride: int) -> list[int]:
    """Starts of windows that cover 0…length; the last one is shifted to end there. One window if length ≤ size."""
    starts = list(range(0, max(length - size, 0), stride))
    return [*starts, max(length - size, 0)]


def index_slice(labels: np.ndarray, size: int, stride: int, classes: list[str]) -> pd.DataFrame:
    """Candidate patches of a label slice (H, W) or (H, W, K), columns y, x, valid_fraction, positive_fraction.

    labels: an array, or what gives rows of one by slicing; at most `size` rows are held at once.
    Fractions: valid of the patch's pixels, positive of its valid pixels, each in any class; of several classes also
    each one's, as positive_<class>. Patches without a valid pixel are left out.
    """
    own = [f"positive_{name}" for name in classes] if len(classes) > 1 else []
    starts = np.array(grid(labels.shape[1], size, stride))
    ends = np.minimum(starts + size, labels.shape[1])
    rows = []
    for y in grid(labels.shape[0], size, stride):
        window = labels[y : min(y + size, labels.shape[0])]
        planes = np.atleast_3d(window)
        valid = _sums((planes != IGNORE).any(2), starts, ends)
        masks = [(planes == 1).any(2)] + [planes[..., k] == 1 for k in range(len(own))]
        positive = np.stack([_sums(mask, starts, ends) for mask in masks], 1)
        for i in np.flatnonzero(valid):
            area = len(window) * (ends[i] - starts[i])
            rows.append((y, int(starts[i]), float(valid[i] / area), *(positive[i] / valid[i]).tolist()))
    return pd.DataFrame(rows, columns=[*COLUMNS[2:], *own])


def drop_background(
    patches: pd.DataFrame, pixels: np.ndarray, size: int, min_std: float, min_saturated: float
) -> pd.DataFrame:
    """Leaves out patches without positives that show nothing: less spread of grey than `min_std` (of 255), or a smaller
    share of saturated pixels than `min_saturated`.

    pixels: (H, W, C) uint8, or what gives rows of it by slicing; RGB for `min_saturated`.
    """
    kept = (patches.positive_fraction > 0).to_numpy(copy=True)
    for y, numbers in patches.groupby("y").indices.items():
        rows = pixels[y : y + size]
        for number in numbers[~kept[numbers]]:
            x = patches.x[number]
            window = rows[:, x : x + size]
            kept[number] = window.mean(2).std() >= min_std and _saturated(window, min_saturated) >= min_saturated
    return patches[kept].reset_index(drop=True)


def _saturated(window: np.ndarray, asked: float) -> float:
    """The share of saturated pixels; 1 where nobody asks."""
    return (cv2.cvtColor(np.ascontiguousarray(window), cv2.COLOR_RGB2HSV)[..., 1] > SATURATED).mean() if asked else 1.0


def drop_empty(patches: pd.DataFrame, keep: float, seed: int) -> pd.DataFrame:
    """Keeps the share `keep` of the patches without positives, and all others."""
    empty = np.flatnonzero(patches.positive_fraction == 0)
    dropped = np.random.default_rng(seed).permutation(empty)[round(len(empty) * keep) :]
    return patches.drop(index=dropped).reset_index(drop=True)


def _sums(mask: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """How many pixels of a mask (h, W) lie in each range of columns start…end."""
    columns = np.concatenate([[0], mask.sum(0, dtype=np.int64).cumsum()])
    return columns[ends] - columns[starts]

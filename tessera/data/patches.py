"""Where patches lie: grids over an image, and the index of candidate patches."""

import cv2
import numpy as np
import pandas as pd

from tessera.tasks import IGNORE

SATURATED = 40  # of 255 in HSV; glass and paper lie below
_ROWS = 64  # of labels that are looked at together

COLUMNS = ["image_id", "z", "y", "x", "valid_fraction", "positive_fraction"]


def grid(length: int, size: int, stride: int) -> list[int]:
    """Starts of windows that cover 0…length; the last one is shifted to end there. One window if length ≤ size."""
    starts = list(range(0, max(length - size, 0), stride))
    return [*starts, max(length - size, 0)]


def index_slice(labels: np.ndarray, size: int, stride: int, classes: list[str]) -> pd.DataFrame:
    """Candidate patches of a label slice (H, W) or (H, W, K), columns y, x, valid_fraction, positive_fraction.

    labels: an array, or what gives rows of one by slicing; a few are held at once.
    Fractions: valid of the patch's pixels, positive of its valid pixels, each in any class; of several classes also
    each one's, as positive_<class>. Patches without a valid pixel are left out.
    """
    own = [f"positive_{name}" for name in classes] if len(classes) > 1 else []
    starts = np.array(grid(labels.shape[1], size, stride))
    ends = np.minimum(starts + size, labels.shape[1])
    rows = []
    for y in grid(labels.shape[0], size, stride):
        end = min(y + size, labels.shape[0])
        columns = np.pad(np.cumsum(_counts(labels, y, end, len(own)), axis=1), ((0, 0), (1, 0)))
        valid, *positive = columns[:, ends] - columns[:, starts]
        for i in np.flatnonzero(valid):
            area = (end - y) * (ends[i] - starts[i])
            shares = [float(count[i] / valid[i]) for count in positive]
            rows.append((y, int(starts[i]), float(valid[i] / area), *shares))
    return pd.DataFrame(rows, columns=[*COLUMNS[2:], *own])


def _counts(labels: np.ndarray, y0: int, y1: int, classes: int) -> np.ndarray:
    """By column of some rows (2 + classes, W): pixels that are valid, positive in any class, and in each of `classes`."""
    counts = np.zeros((2 + classes, labels.shape[1]), np.int64)
    for y in range(y0, y1, _ROWS):
        planes = np.atleast_3d(labels[y : min(y + _ROWS, y1)])
        masks = [(planes != IGNORE).any(2), (planes == 1).any(2)] + [planes[..., k] == 1 for k in range(classes)]
        counts += [mask.sum(0) for mask in masks]
    return counts


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

"""Step `gate`: a class of which only a few px were found is not there at all."""

import numpy as np

from tessera.metrics.counts import count


def gate(mask: np.ndarray, pixels: int, spacing: tuple[float, float]) -> np.ndarray:
    """A mask (C, H, W) bool, without the classes that have fewer than `pixels` px in the row."""
    return mask & (mask.sum((1, 2), keepdims=True) >= pixels)


def gate_counts(
    mask: np.ndarray, target: np.ndarray, valid: np.ndarray, values: list[int], spacing: tuple[float, float]
) -> np.ndarray:
    """Counts (len(values), C, 3) of a mask after `gate` with each value. mask, target, valid: (C, H, W) bool."""
    whole, nothing = count(mask, target, valid), count(np.zeros_like(mask), target, valid)
    passes = mask.sum((1, 2)) >= np.array(values)[:, None]
    return np.where(passes[..., None], whole, nothing)

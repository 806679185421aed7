"""How the maps of several models become one."""

import numpy as np


def blend(maps: np.ndarray, weights: list[float]) -> np.ndarray:
    """The weighted mean of maps (M, C, H, W) float32 in 0…255, rounded to uint8 (C, H, W)."""
    total = sum(np.float32(weight) * one for weight, one in zip(weights, maps, strict=True) if weight > 0)
    return np.rint(np.clip(total, 0, 255)).astype(np.uint8)

"""Cut `threshold`: what is at least so probable."""

import numpy as np


def threshold(blended: np.ndarray, levels: list[int]) -> np.ndarray:
    """blended (C, H, W) uint8, levels in 1…255, one a class → bool, true where the value is at least the level."""
    return blended >= np.array(levels)[:, None, None]

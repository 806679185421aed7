"""Several maps of probabilities become one."""

import cv2
import numpy as np

EDGE = 0.5  # of 255: what a stored 0, or 255, may have been before it was rounded


def merge_maps(maps: list[np.ndarray], merge: str) -> np.ndarray:
    """The mean of maps in 0…255, any shape, float32: of `probabilities`, or of `logits`, brought back to 0…255."""
    if len(maps) == 1 or merge == "probabilities":
        return sum(maps[1:], maps[0].astype(np.float32)) / np.float32(len(maps))
    mean = sum(_logits(values) for values in maps) / np.float32(len(maps))
    merged = np.float32(255) / (1 + np.exp(-mean))
    return np.where(np.abs(mean) >= _CERTAIN, np.float32(255) * (mean > 0), merged)  # 0 and 255 stay what they were


def fuse_maps(maps: list[np.ndarray], shares: list[float]) -> np.ndarray:
    """The sum of maps of probabilities, each times its share; of one, itself."""
    if len(maps) == 1:
        return maps[0]
    first, *others = (values * np.float32(share) for values, share in zip(maps, shares, strict=True))
    for values in others:
        first += values
    return first


def quantise(values: np.ndarray, levels: np.ndarray) -> None:
    """Probabilities (C, h, w) float32 → `levels`, uint8 of the same shape: round(255·p)."""
    for plane, rounded in zip(values, levels, strict=True):
        cv2.convertScaleAbs(plane, rounded, alpha=255)  # in one pass


def _logits(values: np.ndarray) -> np.ndarray:
    values = np.clip(values.astype(np.float32), EDGE, 255 - EDGE)
    return np.log(values / (255 - values))


_CERTAIN = (1 - 1e-6) * float(_logits(np.float32(255)))

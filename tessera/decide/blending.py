"""How the maps of several models become one."""

import numpy as np

UP = 0.501  # added before fractions are cut off: halves go up, also those that float32 misses by a bit
_FINE = 256  # steps a unit of 0…255 within which values are not told apart when they are ranked
_RAREST = 1e-5  # share of px, of which a rank is 255


def probabilities(maps: np.ndarray) -> np.ndarray:
    """The maps as they are."""
    return maps


def ranks(maps: np.ndarray) -> np.ndarray:
    """Maps (M, C, H, W) float32 in 0…255 → how rare so high a value is in its map: 0 where all px are as high, 255 where
    one in 100,000 is. The scale is logarithmic: a step is 4.6 % of the px, whether a tenth of them is sought or a
    thousandth. The mean of logarithms is how Fisher (1925) combines tests.

    Models that are sure of themselves to a different degree then weigh alike; equal values stay equal, and a
    background of equal values, however large, stays 0.
    """
    found = np.empty_like(maps, np.float32)
    for plane, ranked in zip(maps.reshape(-1, *maps.shape[2:]), found.reshape(-1, *maps.shape[2:]), strict=True):
        fine = np.rint(plane * _FINE).astype(np.int32)
        as_high = np.bincount(fine.ravel(), minlength=1)[::-1].cumsum()[::-1] / plane.size
        ranked[:] = (255 * np.log(np.maximum(as_high, _RAREST)) / np.log(_RAREST))[fine]
    return found


BLENDS = {"probabilities": probabilities, "ranks": ranks}  # what becomes of maps before their weighted mean


def blend(maps: np.ndarray, weights: list[float]) -> np.ndarray:
    """The weighted mean of maps (M, C, H, W) float32 in 0…255, rounded to uint8 (C, H, W)."""
    total = sum(np.float32(weight) * one for weight, one in zip(weights, maps, strict=True) if weight > 0)
    return (np.clip(total, 0, 255) + np.float32(UP)).astype(np.uint8)

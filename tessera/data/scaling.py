"""Brings any pixel type to 8 bit: by percentiles of the image or volume, streaming."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Scaling(NamedTuple):
    """Values at or below `black` become 0, at or above `white` 255."""

    black: float
    white: float

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels of any dtype → uint8 of the same shape."""
        if pixels.dtype == np.uint8 and self == IDENTITY:
            return pixels
        scaled = (pixels.astype(np.float32) - self.black) * (255 / max(self.white - self.black, 1e-6))
        return np.rint(np.clip(np.nan_to_num(scaled), 0, 255)).astype(np.uint8)  # a missing value is black


IDENTITY = Scaling(0, 255)


def normalisation(channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, of 0…1, that networks take off an image's channels: ImageNet's, or for other
    than RGB the means of its three."""
    if channels == 3:
        return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return (0.449,) * channels, (0.226,) * channels


def measure(slices: Iterable[np.ndarray], percentiles: tuple[float, float]) -> Scaling:
    """The scaling of an image from its slices: the identity for 8 bit, else black and white at `percentiles`.

    16-bit values are counted exactly, slice by slice; float values come from a sample of 2^20 a slice.
    """
    counts, samples = np.zeros(2**16, np.int64), []
    for pixels in slices:
        if pixels.dtype == np.uint8:
            return IDENTITY
        if pixels.dtype == np.uint16:
            counts += np.bincount(pixels.ravel(), minlength=2**16)
        else:
            flat = pixels.ravel()
            samples.append(flat[:: max(1, flat.size // 2**20)])
    if samples:
        return Scaling(*map(float, np.nanpercentile(np.concatenate(samples), percentiles)))
    return Scaling(*(_percentile(counts, percentile) for percentile in percentiles))


def _percentile(counts: np.ndarray, percentile: float) -> float:
    """The smallest value under which at least `percentile` % of the counted values lie."""
    cumulative = counts.cumsum()
    return float(np.searchsorted(cumulative, max(1, np.ceil(cumulative[-1] * percentile / 100))))

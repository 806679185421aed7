"""Brings any pixel type to 8 bit: by exact percentiles, streaming.

A percentile is the smallest value under which at least that share of all values lies (nearest rank). It is found by
radix: a pass over the pixels counts the upper 16 bits of their values, a second one, where a type has more bits, the
lower 16 bits of those that share a percentile's upper half. Memory is some tables of 2^16 counts, whatever the
image's size, its range and its outliers.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from tessera.errors import InputError

_HALF = 2**16


class Scaling(NamedTuple):
    """Values at or below `black` become 0, at or above `white` 255."""

    black: float
    white: float

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels of any dtype → uint8 of the same shape."""
        if pixels.dtype == np.uint8 and self == IDENTITY:
            return pixels
        if pixels.dtype == np.uint16:  # a table costs less than arithmetic on every pixel
            return self._linear(np.arange(2**16, dtype=np.uint16))[pixels]
        return self._linear(pixels)

    def _linear(self, pixels: np.ndarray) -> np.ndarray:
        scaled = (pixels.astype(np.float32) - self.black) * (255 / max(self.white - self.black, 1e-6))
        return np.rint(np.clip(np.nan_to_num(scaled), 0, 255)).astype(np.uint8)  # a missing value is black


IDENTITY = Scaling(0, 255)


def normalisation(channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, of 0…1, that networks take off an image's channels: ImageNet's, or for other
    than RGB the means of its three."""
    if channels == 3:
        return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return (0.449,) * channels, (0.226,) * channels


class Counts(NamedTuple):
    """How often the halves of the values occur: `tables` (n, 2^16), of pixels of one dtype ("" where there are none)."""

    dtype: str
    tables: np.ndarray

    def __add__(self, other: "Counts") -> "Counts":
        """Raises InputError for pixels of different types."""
        if self.dtype and other.dtype and self.dtype != other.dtype:
            raise InputError(
                f"tile.scaling dataset: some images are {self.dtype}, others {other.dtype}; one type is expected, else "
                "set tile.scaling to volume"
            )
        return Counts(self.dtype or other.dtype, self.tables + other.tables)


def count(bands: Iterable[np.ndarray], uppers: tuple[int, ...] = ()) -> Counts:
    """Counts the upper halves of the values of all bands or, given some `uppers`, a table each of their lower halves.

    8-bit bands, missing (NaN) and infinite values do not count.
    """
    counts = Counts("", np.zeros((len(uppers) or 1, _HALF), np.int64))
    for pixels in bands:
        if pixels.dtype == np.uint8:
            continue
        keys = _keys(pixels.ravel())
        high = (keys >> 16).astype(np.intp)
        chosen = [keys[high == upper] & (_HALF - 1) for upper in uppers] if uppers else [high]
        counts += Counts(pixels.dtype.name, np.stack([np.bincount(part, minlength=_HALF) for part in chosen]))
    return counts


def measure(count_all: Callable[..., Counts], percentiles: tuple[float, float]) -> Scaling:
    """The scaling of all that `count_all(uppers)` counts in one pass: the identity for 8 bit, else black and white at
    the `percentiles`."""
    dtype, (table,) = count_all()
    if not table.any():
        return IDENTITY
    found = [_nth(table, max(1, int(np.ceil(table.sum() * percentile / 100)))) for percentile in percentiles]
    uppers = tuple(upper for upper, _ in found)
    if dtype in ("uint16", "int16"):
        lowers = [0] * len(found)
    else:
        tables = count_all(uppers).tables
        lowers = [_nth(table, rank)[0] for table, (_, rank) in zip(tables, found, strict=True)]
    return Scaling(*(_value(upper << 16 | lower, dtype) for upper, lower in zip(uppers, lowers, strict=True)))


def _nth(table: np.ndarray, rank: int) -> tuple[int, int]:
    """The number whose count holds the `rank`-th value (from 1), and the rank among the values of that number."""
    cumulative = table.cumsum()
    number = int(np.searchsorted(cumulative, rank))
    return number, int(rank - (cumulative[number - 1] if number else 0))


def _keys(values: np.ndarray) -> np.ndarray:
    """Numbers uint32 in the order of the values: 16-bit ones moved up, others as float32, whose bits sort by sign."""
    if values.dtype == np.uint16:
        return values.astype(np.uint32) << 16
    if values.dtype == np.int16:
        return (values.view(np.uint16) ^ np.uint16(0x8000)).astype(np.uint32) << 16
    real = values.astype(np.float32)
    bits = real[np.isfinite(real)].view(np.uint32)
    return bits ^ np.where(bits >> 31, np.uint32(0xFFFFFFFF), np.uint32(0x80000000))


def _value(key: int, dtype: str) -> float:
    """The value of a key of `_keys`."""
    if dtype in ("uint16", "int16"):
        return float((key >> 16) - (_HALF // 2 if dtype == "int16" else 0))
    bits = key ^ (0x80000000 if key >> 31 else 0xFFFFFFFF)
    return float(np.array(bits, np.uint32).view(np.float32))

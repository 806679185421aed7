"""What every image file gives: a shape, and its pixels by bands of rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from tessera.errors import InputError

Channels = Literal["grey", "rgb", "all"]
Band = tuple[int, np.ndarray]  # the first row's number, rows (h, W, C)
BAND_BYTES = 2**20  # what a band holds at most, where the file's own segments allow it: it fits a core's caches

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as OpenCV


class Reader:
    """An image or volume file, open. `shape` is (Z, H, W, C) and `dtype` native, both as `bands` gives them."""

    def __init__(self, path: Path, shape: tuple[int, int, int, int], dtype: np.dtype, channels: Channels):
        if channels != "all" and shape[3] not in (1, 2, 3, 4):
            raise InputError(f"{path}: has {shape[3]} channels; data.channels {channels} needs 1 to 4 (or: all)")
        self.path, self.channels = path, channels
        self.shape = (*shape[:3], {"grey": 1, "rgb": 3, "all": shape[3]}[channels])
        self.dtype = np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")
        if self.dtype.kind not in "uif":
            raise InputError(f"{path}: holds {dtype} values; only whole and real numbers can be read")

    def bands(self, z: int) -> Iterator[Band]:
        """The rows of slice z from top to bottom, without gap or overlap.

        A band lives as long as the caller keeps it; it may be read-only. Raises InputError naming a damaged file.
        """
        for first, rows in self._bands(z):
            step = max(1, BAND_BYTES // max(1, rows[:1].nbytes))
            for y in range(0, len(rows), step):
                part = convert(rows[y : y + step], self.channels)
                yield first + y, part.astype(self.dtype, copy=False)

    def whole(self, z: int) -> np.ndarray:
        """Slice z as one (H, W, C)."""
        pixels = np.empty(self.shape[1:], self.dtype)
        for y, rows in self.bands(z):
            pixels[y : y + len(rows)] = rows
        return pixels

    def close(self) -> None:
        """Closes the file; what was read stays."""

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _bands(self, z: int) -> Iterator[Band]:
        """The rows as the file has them, of any height."""
        raise NotImplementedError


def convert(pixels: np.ndarray, channels: Channels) -> np.ndarray:
    """Pixels (h, W, 1 to 4) as grey (luma) or rgb (grey repeated), both without alpha; all: as they are."""
    if channels == "all":
        return pixels
    pixels = pixels[..., : 3 if pixels.shape[2] >= 3 else 1]
    if channels == "rgb":
        return np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    if pixels.shape[2] == 3:
        luma = sum(pixels[..., i] * _LUMA[i] for i in range(3))
        pixels = (np.rint(luma) if pixels.dtype.kind == "u" else luma).astype(pixels.dtype)[..., None]
    return pixels

"""npy files, memory-mapped."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tessera.data.readers.base import BAND_BYTES, Band, Channels, Reader
from tessera.errors import InputError

MOST_CHANNELS = 16  # a last axis up to this long is channels; a volume is wider


class NpyReader(Reader):
    """(H, W), (H, W, C) with C ≤ 16, a volume (Z, H, W), or (Z, H, W, C)."""

    def __init__(self, path: Path, channels: Channels, level: int, threads: int):
        if level:
            raise InputError(f"{path}: has one level; data.level {level} needs a pyramidal TIFF")
        try:
            pixels = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise InputError(f"{path}: is truncated or no valid npy ({error})") from None
        if pixels.ndim not in (2, 3, 4) or pixels.size == 0:
            raise InputError(
                f"{path}: has shape {pixels.shape}; (H, W), (H, W, C), (Z, H, W) or (Z, H, W, C) can be read"
            )
        self._map = {"dtype": pixels.dtype, "offset": pixels.offset, "shape": pixels.shape}
        self._order = "C" if pixels.flags.c_contiguous else "F"
        super().__init__(path, _as_volume(pixels).shape, pixels.dtype, channels)

    def _bands(self, z: int) -> Iterator[Band]:
        _, height, width, count = self._whole().shape
        step = max(1, BAND_BYTES // (width * count * self._map["dtype"].itemsize))
        for y in range(0, height, step):
            yield y, self._whole()[z, y : y + step]

    def _whole(self) -> np.ndarray:
        """A map of its own for every band: what the band touched leaves memory with it."""
        return _as_volume(np.memmap(self.path, mode="r", order=self._order, **self._map))


def _as_volume(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2:
        return pixels[None, ..., None]
    if pixels.ndim == 3:
        return pixels[None] if pixels.shape[2] <= MOST_CHANNELS else pixels[..., None]
    return pixels

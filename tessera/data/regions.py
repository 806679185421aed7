"""A dataset's place inside tiles.h5, which a process fills without HDF5: several may fill theirs at once."""

import math
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import h5py
import numpy as np


class Place(NamedTuple):
    """Where the bytes of a contiguous uint8 dataset lie."""

    offset: int
    shape: tuple[int, ...]  # (Z, H, W) or (Z, H, W, C)

    @classmethod
    def of(cls, dataset: h5py.Dataset) -> "Place":
        return cls(dataset.id.get_offset(), dataset.shape)


class Plane(NamedTuple):
    """Slice z of a place in an open file; `plane[y0:y1]` reads rows."""

    file: BinaryIO
    place: Place
    z: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.place.shape[1:]

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, end, _ = rows.indices(self.shape[0])
        self.file.seek(self._offset(start))
        pixels = np.empty((end - start, *self.shape[1:]), np.uint8)
        self.file.readinto(pixels)
        return pixels

    def write(self, bands: Iterator[tuple[int, np.ndarray]]) -> int:
        """Writes bands of rows where they belong. Returns the CRC-32 of what it wrote."""
        crc = 0
        for y, rows in bands:
            self.file.seek(self._offset(y))
            rows = np.ascontiguousarray(rows)
            self.file.write(rows)
            crc = zlib.crc32(rows, crc)
        return crc

    def _offset(self, row: int) -> int:
        return self.place.offset + (self.z * self.shape[0] + row) * math.prod(self.shape[1:])

"""The slices of a manifest row, from one file or a file a slice."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tessera.data.layout import files_of
from tessera.data.manifest import slice_names
from tessera.data.readers.base import Band, Reader
from tessera.data.readers.build import open_image
from tessera.errors import InputError

if TYPE_CHECKING:
    from tessera.params.data import Data


class Slices:
    """Reads an image or volume by bands. The file read last stays open: most images are one file, read twice."""

    def __init__(self, row: pd.Series, data: "Data", threads: int):
        self._files = files_of(Path(data.source), row.image, slice_names(row))
        self._options = (data.channels, data.level, threads)
        self._row, self._number, self._reader = row, -1, None

    @property
    def dtype(self) -> np.dtype:
        return self._open(0).dtype

    def bands(self, z: int) -> Iterator[Band]:
        """Bands (h, W, C) of slice z. Raises InputError for a file that is not as the manifest has it."""
        alone = len(self._files) > 1
        return self._open(z if alone else 0).bands(0 if alone else z)

    def pixels(self, depths: range) -> Iterator[np.ndarray]:
        """All bands of some slices."""
        return (rows for z in depths for _, rows in self.bands(z))

    def close(self) -> None:
        if self._reader:
            self._reader.close()

    def __enter__(self) -> "Slices":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, number: int) -> Reader:
        if number != self._number:
            self.close()
            self._reader, self._number = open_image(self._files[number], *self._options), number
            row = self._row
            expected = (row.depth // len(self._files), row.height, row.width, row.channels)
            if self._reader.shape != expected:
                raise InputError(
                    f"{self._files[number]}: has shape {self._reader.shape}, the manifest says {expected}; rerun `dvc repro`"
                )
        return self._reader

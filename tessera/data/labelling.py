"""The competition's labels, from mask files or RLE rows, as label slices (H, W): 0, 1 and 255 for ignored."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tessera.data.images import read_mask
from tessera.data.layout import Item, find_items
from tessera.errors import InputError
from tessera.labels import RleTable, read_rle_table
from tessera.tasks import IGNORE

if TYPE_CHECKING:
    from tessera.params import Data


@dataclass(frozen=True)
class Labels:
    """Reads the label of an image, or of a volume's slice."""

    data: "Data"
    table: RleTable | None

    @classmethod
    def open(cls, data: "Data", problems: list[str]) -> "Labels":
        """Opens the csv where labels are RLE rows; what is wrong with its ids goes to `problems`."""
        if data.train_rle is None:
            return cls(data, None)
        table = read_rle_table(Path(data.source) / data.train_rle, data.id, data.rle_column)
        problems += table.duplicates
        return cls(data, table)

    def read(self, image_id: str, slice_name: str, shape: tuple[int, int]) -> np.ndarray:
        """The label (H, W) uint8 in {0, 1, 255}.

        Raises InputError naming file and row: not there, another size, undeclared values, a wrong RLE.
        """
        if self.table is None:
            return self._from_file(Path(self.data.source) / self.place(image_id).replace("{slice}", slice_name), shape)
        row_id = f"{image_id}_{slice_name}" if slice_name else image_id
        if row_id not in self.table.rows:
            raise InputError(f"{self.table.path}: no row for id {row_id!r}")
        return self.table.decode(row_id, shape, self.data.rle_order, self.data.rle_base)

    def place(self, image_id: str) -> str:
        """The manifest's `label`: where the labels of an image are, relative to the source."""
        return (self.data.train_masks or self.data.train_rle).replace("{image_id}", image_id)

    def strangers(self, items: list[Item]) -> list[str]:
        """A problem for every RLE row, or mask file, that belongs to no image or slice of `items`."""
        if self.table is None:
            return self._stray_files(items)
        known = {
            f"{item.image_id}_{name}" if name else item.image_id for item in items for name in item.slices or ("",)
        }
        return [
            f"{self.table.path} line {line}: id {row_id!r} has no image"
            for row_id, line in self.table.lines.items()
            if row_id not in known
        ]

    def _stray_files(self, items: list[Item]) -> list[str]:
        images = {item.image_id: set(item.slices) for item in items}
        try:
            masks = find_items(Path(self.data.source), self.data.train_masks)
        except InputError:
            return []  # no mask at all: each image has said so
        return [
            f"{path}: this mask has no image"
            for mask in masks
            for path, name in zip(mask.files(Path(self.data.source)), mask.slices or ("",), strict=True)
            if mask.image_id not in images or (name and name not in images[mask.image_id])
        ]

    def _from_file(self, path: Path, shape: tuple[int, int]) -> np.ndarray:
        mask = read_mask(path)
        if mask.shape != tuple(shape):
            raise InputError(f"{path}: the mask is {mask.shape[0]}×{mask.shape[1]}, its image {shape[0]}×{shape[1]}")
        positive = mask == self.data.positive
        ignored = mask == self.data.ignore if self.data.ignore is not None else np.zeros_like(positive)
        strange = ~(positive | ignored | (mask == 0))
        if strange.any():
            y, x = np.unravel_index(strange.argmax(), shape)
            raise InputError(
                f"{path}: value {mask[y, x]} at row {y}, column {x} ({strange.sum()} such pixels) is neither 0, "
                f"data.positive {self.data.positive} nor data.ignore {self.data.ignore}"
            )
        return positive.astype(np.uint8) + ignored * np.uint8(IGNORE)

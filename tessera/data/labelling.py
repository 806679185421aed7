"""The competition's labels, however they are said, as label slices (H, W): 0, 1 and 255 for ignored."""

from typing import TYPE_CHECKING

import numpy as np

from tessera.data.annotations.masks import MaskFiles, read_valid
from tessera.data.annotations.polygons import PolygonFiles
from tessera.data.annotations.rows import RleRows
from tessera.data.layout import Item
from tessera.tasks import IGNORE

if TYPE_CHECKING:
    from tessera.params.data import Data

# By the key that says where the labels are: a class with `per_slice`, `read` into planes, and `strangers`.
ANNOTATIONS = {"train_masks": MaskFiles, "train_rle": RleRows, "train_polygons": PolygonFiles}
READING = {  # the keys of `data` that decide how labels are read
    *ANNOTATIONS, "labels", "classes", "class_names", "mask_kind", "positive", "ignore", "colours", "valid_masks", "rle_column",
    "rle_order", "rle_base", "rle_starts", "rle_empty", "rle_rows", "class_column", "id", "id_ending",
}  # fmt: skip


class Labels:
    """Reads the label of an image, or of a volume's slice."""

    def __init__(self, data: "Data", annotations: MaskFiles | RleRows | PolygonFiles):
        self.data, self.annotations = data, annotations
        self.per_slice = annotations.per_slice or "{slice}" in (data.valid_masks or "")
        self._last: tuple[tuple, np.ndarray] | None = None

    @classmethod
    def open(cls, data: "Data", problems: list[str]) -> "Labels":
        """Opens what holds the labels; what is wrong with its ids goes to `problems`. Raises InputError: unreadable."""
        return cls(data, ANNOTATIONS[_key(data)](data, problems))

    def read(self, image_id: str, slice_name: str, shape: tuple[int, int]) -> np.ndarray:
        """The label in {0, 1, 255}: (H, W) uint8 or, of several classes, (H, W, K); see `read_planes`."""
        planes = self.read_planes(image_id, slice_name, shape)
        return planes[0] if len(planes) == 1 else np.moveaxis(planes, 0, -1)

    def read_planes(self, image_id: str, slice_name: str, shape: tuple[int, int]) -> np.ndarray:
        """The label (K, H, W) uint8 in {0, 1, 255}, a plane a class, 255 outside the valid area; not to be written to.

        One label for a whole volume is read once while its slices follow each other.
        Raises InputError, a problem an argument, naming file and row: not there, another size, undeclared values, …
        """
        key = (image_id, slice_name if self.per_slice else "", tuple(shape))
        if self._last is None or self._last[0] != key:
            self._last = None  # not two labels in memory at once
            planes = self.annotations.read(image_id, slice_name, shape)
            if self.data.valid_masks:
                planes[:, ~read_valid(self.data, image_id, slice_name, shape)] = IGNORE
            self._last = (key, planes)
        return self._last[1]

    def place(self, image_id: str) -> str:
        """The manifest's `label`: where the labels of an image are, relative to the source."""
        return getattr(self.data, _key(self.data)).replace("{image_id}", image_id)

    def strangers(self, items: list[Item]) -> list[str]:
        """A problem for every RLE row, mask or polygon file that belongs to no image or slice of `items`."""
        return self.annotations.strangers(items)


def _key(data: "Data") -> str:
    return next(key for key in ANNOTATIONS if getattr(data, key) is not None)

"""The competition's labels, however they are said, as label slices (H, W): 0, 1 and 255 for ignored."""

import collections
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tessera.data.annotations.masks import MaskFiles, ValidMasks
from tessera.data.annotations.planes import LabelSlice
from tessera.data.annotations.polygons import PolygonFiles
from tessera.data.annotations.rows import RleRows
from tessera.data.layout import Item
from tessera.data.readers.base import Band
from tessera.errors import InputError, collected
from tessera.tasks import IGNORE

if TYPE_CHECKING:
    from tessera.params.data import Data

BAND_ROWS = 128

# By the key that says where the labels are: a class with `bands` of planes, `shared`, `strangers` and `close`.
ANNOTATIONS = {"train_masks": MaskFiles, "train_rle": RleRows, "train_polygons": PolygonFiles}
READING = {  # the keys of `data` that decide how labels are read
    *ANNOTATIONS, "labels", "classes", "class_names", "mask_kind", "positive", "ignore", "colours", "valid_masks", "rle_column",
    "rle_order", "rle_base", "rle_starts", "rle_empty", "rle_rows", "class_column", "id", "id_ending",
}  # fmt: skip


class Labels:
    """Reads the label of an image, or of a volume's slice, by bands of rows."""

    def __init__(self, data: "Data", annotations: MaskFiles | RleRows | PolygonFiles):
        self.data, self.annotations = data, annotations
        self.valid = ValidMasks(data) if data.valid_masks else None
        self._last: tuple[tuple, list[tuple[tuple[int, ...], bytes]]] | None = None  # shape and zlib bytes of each band

    @classmethod
    def open(cls, data: "Data", problems: list[str]) -> "Labels":
        """Opens what holds the labels; what is wrong with its ids goes to `problems`. Raises InputError: unreadable."""
        return cls(data, ANNOTATIONS[_key(data)](data, problems))

    def bands(self, asked: LabelSlice, rows: int = BAND_ROWS) -> Iterator[Band]:
        """The label in {0, 1, 255} from top to bottom, each band `rows` high, the last one what is left; not to be
        written to. (h, W) uint8 or, of several classes, (h, W, K); 255 outside the valid area.

        No more than a few bands is held, except of what can only be decoded whole: a PNG, JPEG or JPEG 2000; one polygon.
        Of a label that all slices of a volume share, the first slice's is kept packed for those that follow.
        Raises InputError, a problem an argument, naming file and row: not there, another size, undeclared values, …
        at the latest after the last band.
        """
        read = self._once(asked, rows) if len(asked.names) > 1 and self._shared(asked) else self._planes(asked, rows)
        for number, planes in enumerate(read):
            yield number * rows, planes[0] if len(planes) == 1 else np.moveaxis(planes, 0, -1)

    def place(self, image_id: str) -> str:
        """The manifest's `label`: where the labels of an image are, relative to the source."""
        return getattr(self.data, _key(self.data)).replace("{image_id}", image_id)

    def strangers(self, items: list[Item], tests: list[Item]) -> list[str]:
        """A problem for every RLE row, mask or polygon file that belongs to no image or slice of `items`, and for every
        valid mask that belongs to none of these and none of `tests`."""
        return self.annotations.strangers(items) + (self.valid.strangers(items + tests) if self.valid else [])

    def close(self) -> None:
        """Closes the files that were kept for further slices; call it, or leave `with`, when an image is done."""
        self.annotations.close()
        if self.valid:
            self.valid.close()

    def __enter__(self) -> "Labels":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _shared(self, asked: LabelSlice) -> bool:
        return self.annotations.shared(asked) and (self.valid is None or self.valid.shared(asked))

    def _once(self, asked: LabelSlice, rows: int) -> Iterator[np.ndarray]:
        """`_planes`, which are read for the first slice only."""
        key = (asked._replace(z=0), rows)
        if self._last and self._last[0] == key:
            for shape, packed in self._last[1]:
                yield np.frombuffer(zlib.decompress(packed), np.uint8).reshape(shape)
            return
        kept, self._last = [], None
        for planes in self._planes(asked, rows):
            kept.append((planes.shape, zlib.compress(np.ascontiguousarray(planes), 1)))
            yield planes
        self._last = (key, kept)

    def _planes(self, asked: LabelSlice, rows: int) -> Iterator[np.ndarray]:
        """Planes (K, h, W) of `rows` rows."""
        if self.valid is None:
            yield from self.annotations.bands(asked, rows)
            return
        sources, problems = [self.valid.bands(asked, rows)], []
        with collected(problems):
            sources.append(self.annotations.bands(asked, rows))
            for (valid,), planes in zip(*sources, strict=True):
                planes[:, valid == 0] = IGNORE
                yield planes
        for source in sources:  # when one has stopped at a problem, the other may have its own
            with collected(problems):
                collections.deque(source, 0)
        if problems:
            raise InputError(*problems)


def _key(data: "Data") -> str:
    return next(key for key in ANNOTATIONS if getattr(data, key) is not None)

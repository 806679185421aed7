"""The probability store: uint8 round(255·p) of items (whole images, or parts of volumes) by view.

`/<item>/<view>` is (C, Z, H, W) at the working scale, Z = 1 for an image; `/<item>/merged`, where views were merged
when they were stored. Attributes of `/<item>`: image_id, z0 (the first slice), the fields of `Plane`, scale. Attributes
of the file: model, checkpoints (digests), and how views are merged, unless as probabilities.
"""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from tessera.data.resampling import enlarge, source_span
from tessera.errors import InputError
from tessera.predict.merging import merge_maps

CHUNK = 256


class Plane(NamedTuple):
    """What an item shows of its image's plane, and at which scale its maps are."""

    y0: int  # bounds, original px
    y1: int
    x0: int
    x1: int
    height: int  # of the image, original px
    width: int
    rows: int  # of the image, working px
    columns: int

    @property
    def crop(self) -> tuple[int, int, int, int]:
        """(top, left, height, width) in working px of all that reading the item at the original resolution needs."""
        top, bottom = source_span(self.y0, self.y1, self.height, self.rows)
        left, right = source_span(self.x0, self.x1, self.width, self.columns)
        return top, left, bottom - top, right - left


class ProbabilityStore:
    """Reads a store; what it returns is at the original resolution."""

    def __init__(self, path: Path):
        if not path.is_file():
            raise InputError(f"{path}: no such predictions; make them with `dvc repro`")
        self.path, self.file = path, h5py.File(path, "r")

    def read(
        self, item: str, z: int, views: list[str], rows: tuple[int, int] | None = None, merge: str | None = None
    ) -> np.ndarray:
        """The mean over views of slice z (counted in the volume): (C, rows, width) float32 in 0…255.

        rows (start, end) in original px of the item; all by default. A band is exactly that part of the whole, and the
        map of a part exactly that part of its image's. merge: the mean of probabilities or of logits; by default what
        `predict.merge` was when the file was written.
        """
        plane = Plane(*(int(self._group(item).attrs[name]) for name in Plane._fields))
        start, end = rows or (0, plane.y1 - plane.y0)
        first, last = source_span(plane.y0 + start, plane.y0 + end, plane.height, plane.rows)
        top, left, _, _ = plane.crop
        band = self.read_stored(item, z, views, (first - top, last - top), merge)
        rows, columns = (plane.y0 + start, plane.y0 + end), (plane.x0, plane.x1)
        size, working = (plane.height, plane.width), (plane.rows, plane.columns)
        return enlarge(band, (first, left), rows, columns, size, working)

    def read_stored(
        self, item: str, z: int, views: list[str], rows: tuple[int, int], merge: str | None = None
    ) -> np.ndarray:
        """As `read`, at the working resolution. rows (start, end) in working px of the item."""
        group = self._group(item)
        depth = z - int(group.attrs["z0"])
        if not 0 <= depth < group[views[0]].shape[1]:
            raise InputError(f"{self.path}: {item!r} has no slice {z}; it was made from other parts: rerun `dvc repro`")
        maps = [group[view][:, depth, slice(*rows)] for view in views]
        return merge_maps(maps, merge or self.file.attrs.get("merge", "probabilities"))

    def _group(self, item: str) -> h5py.Group:
        if item not in self.file:
            raise InputError(f"{self.path}: holds no {item!r}; it was made from other images: rerun `dvc repro`")
        return self.file[item]


def create_item(
    file: h5py.File, item: str, image_id: str, depths: tuple[int, int], plane: Plane, views: list[str], channels: int
) -> h5py.Group:
    """Makes the datasets of an item's views, (C, Z, H, W) at the working scale. depths: its slices z0, z1, half-open."""
    group = file.create_group(item)
    group.attrs.update(image_id=image_id, z0=depths[0], **plane._asdict())
    shape = (channels, depths[1] - depths[0], *plane.crop[2:])
    chunks = (channels, 1, min(CHUNK, shape[2]), min(CHUNK, shape[3]))
    for view in views:
        group.create_dataset(view, shape, np.uint8, chunks=chunks, compression="gzip", compression_opts=1)
    return group

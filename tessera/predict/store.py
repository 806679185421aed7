"""The probability store: uint8 round(255·p) of items (whole images, or parts of volumes) by view.

`/<item>/<view>` is (C, Z, H, W) at the working scale, Z = 1 for an image; attributes of `/<item>`: image_id, z0
(the first slice), height and width (original px), scale. Attributes of the file: model, checkpoints (digests).
"""

from pathlib import Path

import h5py
import numpy as np

from tessera.data.resampling import enlarge, source_rows
from tessera.errors import InputError

CHUNK = 256


class ProbabilityStore:
    """Reads a store; what it returns is at the original resolution."""

    def __init__(self, path: Path):
        if not path.is_file():
            raise InputError(f"{path}: no such predictions; make them with `dvc repro`")
        self.path, self.file = path, h5py.File(path, "r")

    def read(self, item: str, z: int, views: list[str], rows: tuple[int, int] | None = None) -> np.ndarray:
        """The mean over views of slice z (counted in the volume): (C, rows, width) float32 in 0…255.

        rows (start, end) in original px; all by default. A band is exactly that part of the whole.
        """
        if item not in self.file:
            raise InputError(f"{self.path}: holds no {item!r}; it was made from other images: rerun `dvc repro`")
        group = self.file[item]
        height, width = int(group.attrs["height"]), int(group.attrs["width"])
        start, end = rows or (0, height)
        depth = z - int(group.attrs["z0"])
        if not 0 <= depth < group[views[0]].shape[1]:
            raise InputError(f"{self.path}: {item!r} has no slice {z}; it was made from other parts: rerun `dvc repro`")
        working = group[views[0]].shape[2:]
        first, last = source_rows(start, end, height, working[0])
        band = sum(group[view][:, depth, first:last].astype(np.float32) for view in views) / np.float32(len(views))
        return enlarge(band, first, start, end, (height, width), working)


def create_item(
    file: h5py.File,
    item: str,
    image_id: str,
    z0: int,
    views: list[str],
    shape: tuple[int, int, int, int],
    original: tuple[int, int],
    scale: float,
) -> h5py.Group:
    """Makes the datasets of an item, shape (C, Z, H, W) at the working scale; original is (height, width)."""
    group = file.create_group(item)
    group.attrs.update(image_id=image_id, z0=z0, height=original[0], width=original[1], scale=scale)
    chunks = (shape[0], 1, min(CHUNK, shape[2]), min(CHUNK, shape[3]))
    for view in views:
        group.create_dataset(view, shape, np.uint8, chunks=chunks, compression="gzip", compression_opts=1)
    return group

"""Predictions through every plane of a volume, averaged on disk."""

import math
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from tessera.data.pixels import AXES, PixelStore
from tessera.disk import require_room
from tessera.predict.blocks import ROWS, Maps
from tessera.predict.predictor import Predictor
from tessera.predict.sweep import Crop

BLOCK = 32  # slices that are summed in memory, and the side of a chunk on disk: each plane meets each chunk once


def predict_blocks(
    predictor: Predictor, store: PixelStore, image_id: str, depths: tuple[int, int], crop: Crop, scratch: Path
) -> Iterator[tuple[int, int, Maps]]:
    """As `Predictor.blocks` for the slices `depths` (z0, z1), the mean over the model's planes: number of the slice and
    the first row in it, from 0, and the maps.

    The sums of several planes lie in a temporary file at `scratch`: in memory are `BLOCK` slices of one plane.
    """
    if predictor.model.planes == ["xy"]:
        for z in range(*depths):
            for number, maps in enumerate(predictor.blocks(store, image_id, z, crop)):
                yield z - depths[0], number * ROWS, maps
        return
    box = (depths[0], crop[0], crop[1]), (depths[1], crop[0] + crop[2], crop[1] + crop[3])
    shape = tuple(end - start for start, end in zip(*box, strict=True))
    try:
        require_room(2 * math.prod(shape) * predictor.task.channels * len(predictor.predict.stored_views), scratch)
        with h5py.File(scratch, "w") as file:
            for view in predictor.predict.stored_views:
                chunks = (1, *(min(BLOCK, side) for side in shape))
                file.create_dataset(view, (predictor.task.channels, *shape), np.uint16, chunks=chunks)
            for plane in predictor.model.planes:
                _add_plane(file, predictor, store.in_plane(plane), image_id, box)
            for start in range(0, shape[0], BLOCK):
                blocks = {view: sums[:, start : start + BLOCK] for view, sums in file.items()}
                for z in range(min(BLOCK, shape[0] - start)):
                    mean = {view: _mean(block[:, z], len(predictor.model.planes)) for view, block in blocks.items()}
                    yield start + z, 0, mean
    finally:
        scratch.unlink(missing_ok=True)


def _add_plane(file: h5py.File, predictor: Predictor, store: PixelStore, image_id: str, box: tuple) -> None:
    """Adds the maps of the box ((z0, y0, x0), (z1, y1, x1)), predicted in the plane of `store`, to each view's sums."""
    (start, top, left), (end, bottom, right) = ([corner[axis] for axis in AXES[store.plane]] for corner in box)
    slices = predictor.slices(store, image_id, start, end, (top, left, bottom - top, right - left))
    depth = AXES[store.plane][0] + 1  # behind the classes
    for first in range(0, end - start, BLOCK):
        maps = [next(slices) for _ in range(min(BLOCK, end - start - first))]
        place = (slice(None),) * depth + (slice(first, first + len(maps)),)
        for view, sums in file.items():
            sums[place] += np.stack([one[view] for one in maps], depth)


def _mean(total: np.ndarray, count: int) -> np.ndarray:
    return np.rint(total / count).astype(np.uint8)

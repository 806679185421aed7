"""Writes the predictions of a list of items into a probability store, item by item."""

import os
from pathlib import Path

import h5py
import pandas as pd
from tqdm import tqdm

from tessera.data.boxes import in_label_slices
from tessera.data.pixels import PixelStore
from tessera.disk import require_room
from tessera.predict.planes import predict_blocks
from tessera.predict.predictor import Predictor
from tessera.predict.store import Plane, create_item

ITEM = "item"  # the group of a finished item in its own file


def write_predictions(
    path: Path, predictor: Predictor, store: PixelStore, items: pd.DataFrame, about: dict, finished: Path
) -> None:
    """Predicts every item and writes a store at `path`.

    items: item, its box (image_id, z0 … x1, original px), and the image's original height, width. about: attributes of
    the file. finished: a folder with a file of each finished item; those that are there are not predicted again, so it
    must belong to this very call. It stays. The store is put together from it in the order of `items`: its bytes do not
    depend on how often that was interrupted.
    """
    items = in_label_slices(items, store)
    planes = [
        Plane(row.y0, row.y1, row.x0, row.x1, row.height, row.width, *store.shape(row.image_id)[1:])
        for row in items.itertuples()
    ]
    sizes = [
        (row.z1 - row.z0) * plane.crop[2] * plane.crop[3] for row, plane in zip(items.itertuples(), planes, strict=True)
    ]
    finished.mkdir(parents=True, exist_ok=True)
    files = [finished / f"{number}.h5" for number in range(len(items))]
    done = sum(size for size, file in zip(sizes, files, strict=True) if file.exists())
    with tqdm(desc="predict", total=sum(sizes), initial=done, unit="px", unit_scale=True, disable=None) as progress:
        for row, plane, file in zip(items.itertuples(), planes, files, strict=True):
            if not file.exists():
                _write_item(file, predictor, store, row, plane, progress)
    require_room(sum(file.stat().st_size for file in files), path)
    with h5py.File(path, "w") as whole:
        whole.attrs.update(about)
        for item, file in zip(items.item, files, strict=True):
            with h5py.File(file) as one:
                one.copy(ITEM, whole, item)


def _write_item(path: Path, predictor: Predictor, store: PixelStore, row: tuple, plane: Plane, progress: tqdm) -> None:
    """One item in a file that is there as a whole or not at all."""
    partial, depths = path.with_suffix(".part"), (row.z0, row.z1)
    views, channels = predictor.predict.stored_views, predictor.task.channels
    with h5py.File(partial, "w") as file:
        group = create_item(file, ITEM, row.image_id, depths, plane, views, channels)
        group.attrs["scale"] = store.scale(row.image_id)
        for depth, y, maps in predict_blocks(
            predictor, store, row.image_id, depths, plane.crop, path.with_suffix(".sums")
        ):
            require_room(sum(rows.nbytes for rows in maps.values()), partial)
            for view, rows in maps.items():
                group[view][:, depth, y : y + rows.shape[1]] = rows
            progress.update(rows.shape[1] * rows.shape[2])
    with open(partial, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)

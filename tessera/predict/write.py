"""Writes the predictions of a list of items into a probability store."""

from pathlib import Path

import h5py
import pandas as pd
from tqdm import tqdm

from tessera.data.boxes import in_label_slices
from tessera.data.pixels import PixelStore
from tessera.predict.planes import predict_slices
from tessera.predict.predictor import Predictor
from tessera.predict.store import Plane, create_item


def write_predictions(path: Path, predictor: Predictor, store: PixelStore, items: pd.DataFrame, about: dict) -> None:
    """Predicts every item and writes a store at `path`.

    items: item, its box (image_id, z0 … x1, original px), and the image's original height, width. about: attributes of
    the file. Beside `path`, the sums over planes come and go.
    """
    sums = path.with_suffix(".sums")
    views, items = predictor.predict.views, in_label_slices(items, store)
    with (
        h5py.File(path, "w") as file,
        tqdm(total=int((items.z1 - items.z0).sum()), desc="predict", unit="slice", disable=None) as progress,
    ):
        file.attrs.update(about)
        for row in items.itertuples():
            plane = Plane(row.y0, row.y1, row.x0, row.x1, row.height, row.width, *store.shape(row.image_id)[1:])
            depths = (row.z0, row.z1)
            group = create_item(file, row.item, row.image_id, depths, plane, views, predictor.task.channels)
            group.attrs["scale"] = store.scale(row.image_id)
            for depth, maps in enumerate(predict_slices(predictor, store, row.image_id, depths, plane.crop, sums)):
                for view in views:
                    group[view][:, depth] = maps[view]
                progress.update()

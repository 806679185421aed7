"""Writes the predictions of a list of items into a probability store."""

from pathlib import Path

import h5py
import pandas as pd
from tqdm import tqdm

from tessera.data.pixels import PixelStore
from tessera.predict.predictor import Predictor
from tessera.predict.store import create_item


def write_predictions(path: Path, predictor: Predictor, store: PixelStore, items: pd.DataFrame, about: dict) -> None:
    """Predicts every item and writes a store at `path`.

    items: item, image_id, z0, z1, and the image's original height, width. about: attributes of the file.
    """
    views = predictor.predict.views
    with (
        h5py.File(path, "w") as file,
        tqdm(total=int((items.z1 - items.z0).sum()), desc="predict", unit="slice", disable=None) as progress,
    ):
        file.attrs.update(about)
        for row in items.itertuples():
            _, height, width = store.shape(row.image_id)
            shape = (predictor.task.channels, row.z1 - row.z0, height, width)
            original, scale = (row.height, row.width), store.scale(row.image_id)
            group = create_item(file, row.item, row.image_id, row.z0, views, shape, original, scale)
            for depth, maps in enumerate(predictor.slices(store, row.image_id, row.z0, row.z1)):
                for view in views:
                    group[view][:, depth] = maps[view]
                progress.update()

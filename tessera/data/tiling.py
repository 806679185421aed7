"""Raw images → tiles.h5 and the index of candidate patches; holds one slice of one image at a time."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pandas as pd
from tqdm import tqdm

from tessera.data.images import read_image
from tessera.data.labelling import READING as LABEL_KEYS
from tessera.data.labelling import Labels
from tessera.data.layout import files_of
from tessera.data.manifest import TRAIN, slice_names
from tessera.data.patches import COLUMNS, drop_empty, index_slice
from tessera.data.pixels import create_image, downscale, downscale_labels, working_size
from tessera.data.scaling import measure

if TYPE_CHECKING:
    from tessera.params import Data, Tile

_READING = {"channels", *LABEL_KEYS}


def write_tiles(manifest: pd.DataFrame, data: "Data", tile: "Tile", path: Path) -> pd.DataFrame:
    """Writes every image of the manifest into the pixel store at `path`; returns the patches of training images."""
    labels = Labels.open(data, [])
    patches = [pd.DataFrame(columns=COLUMNS)]
    with h5py.File(path, "w") as file:
        file.attrs["digest"] = _digest(manifest, data, tile)
        for _, row in tqdm(manifest.iterrows(), desc="tile", unit="image", total=len(manifest), disable=None):
            patches += _write_image(file, row, data, tile, labels if row.subset == TRAIN else None)
    return drop_empty(_concat(patches), tile.keep_empty, seed=0)


def _write_image(
    file: h5py.File, row: pd.Series, data: "Data", tile: "Tile", labels: Labels | None
) -> list[pd.DataFrame]:
    """Writes one image or volume; returns the candidate patches of each labelled slice."""
    scaling = measure(_slices(row, data), tile.percentiles)
    original = (row.height, row.width)
    size = working_size(*original, tile.scale)
    group = create_image(file, row.image_id, (row.depth, *size, row.channels), original, labels is not None)
    group.attrs.update(black=scaling.black, white=scaling.white, height=row.height, width=row.width, scale=tile.scale)
    patches = []
    for z, (pixels, name) in enumerate(zip(_slices(row, data), slice_names(row) or ("",), strict=True)):
        group["pixels"][z] = downscale(scaling.apply(pixels), size)
        if labels:
            truth = labels.read(row.image_id, name, original)
            working = downscale_labels(truth, size)
            group["labels"][z] = working
            if "truth" in group:
                group["truth"][z] = truth
            patches.append(index_slice(working, tile.size, tile.stride).assign(image_id=row.image_id, z=z)[COLUMNS])
    return patches


def _slices(row: pd.Series, data: "Data") -> Iterator[np.ndarray]:
    for path in files_of(Path(data.source), row.image, slice_names(row)):
        yield read_image(path, data.channels)


def _concat(patches: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in patches if len(frame)] or patches[:1]
    return pd.concat(filled, ignore_index=True)


def _digest(manifest: pd.DataFrame, data: "Data", tile: "Tile") -> str:
    """Names the content of the store: the files' digests, and all that decides how they are read."""
    said = json.dumps(
        [manifest.to_csv(index=False), data.model_dump(include=_READING, exclude_defaults=True), tile.model_dump()],
        sort_keys=True,
    )
    return hashlib.sha256(said.encode()).hexdigest()

"""What benchmarks.tiling measures, each in a process of its own:

python -m benchmarks.tiling_tasks <task> <file>      prints {"cpu": seconds, "rss": bytes, "check": …} as JSON

<task>: a key of PATCHES, or `tile` or `ingest` and how the label is said, as in "tile mask".
"""

import importlib
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tessera.data.patches import grid

if TYPE_CHECKING:
    from tessera.params.data import Data

SIZE, OVERLAP = 512, 64  # px of a patch
STRIDE = SIZE - OVERLAP


def ours(path: Path) -> Iterator[np.ndarray]:
    """The rows of one row of patches are held; bands fill them up."""
    from tessera.data.readers.build import open_image

    with open_image(path) as reader:
        _, height, width, channels = reader.shape
        rows = np.empty((min(SIZE, height), width, channels), reader.dtype)
        starts, first = grid(height, SIZE, STRIDE), 0
        for y, band in reader.bands(0):
            while len(band):
                place = y - starts[first]
                taken = min(len(band), len(rows) - place)
                rows[place : place + taken] = band[:taken]
                y, band = y + taken, band[taken:]
                if place + taken == len(rows):
                    yield from (rows[:, x : x + SIZE] for x in grid(width, SIZE, STRIDE))
                    first += 1
                    if first < len(starts):
                        kept = y - starts[first]
                        rows[:kept] = rows[len(rows) - kept :].copy()


def whole(path: Path) -> Iterator[np.ndarray]:
    import tifffile

    image = np.atleast_3d(tifffile.imread(path, level=0))
    return (image[y : y + SIZE, x : x + SIZE] for y, x in _places(image.shape))


def zarr_windows(path: Path) -> Iterator[np.ndarray]:
    import tifffile
    import zarr

    with tifffile.imread(path, aszarr=True, level=0) as store:
        image = zarr.open(store, mode="r")
        for y, x in _places(image.shape):
            yield np.atleast_3d(image[y : y + SIZE, x : x + SIZE])


def rasterio_windows(path: Path) -> Iterator[np.ndarray]:
    import rasterio
    from rasterio.windows import Window

    with rasterio.open(path) as image:
        for y, x in _places((image.height, image.width)):
            size = min(SIZE, image.width - x), min(SIZE, image.height - y)
            yield np.moveaxis(image.read(window=Window(x, y, *size)), 0, 2)


def vips_regions(path: Path) -> Iterator[np.ndarray]:
    import pyvips

    image = pyvips.Image.new_from_file(str(path))
    region = pyvips.Region.new(image)
    dtype = {"uchar": np.uint8, "ushort": np.uint16}[image.format]
    for y, x in _places((image.height, image.width)):
        width, height = min(SIZE, image.width - x), min(SIZE, image.height - y)
        yield np.frombuffer(region.fetch(x, y, width, height), dtype).reshape(height, width, image.bands)


def toolbelt_slicer(path: Path) -> Iterator[np.ndarray]:
    """Its patches begin elsewhere: it centres them."""
    import tifffile
    from pytorch_toolbelt.inference.tiles import ImageSlicer

    image = np.atleast_3d(tifffile.imread(path, level=0))
    return iter(ImageSlicer(image.shape, SIZE, STRIDE).split(image))


def _places(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(y, x) for y in grid(shape[0], SIZE, STRIDE) for x in grid(shape[1], SIZE, STRIDE)]


PATCHES = {  # and the modules that are imported before the clock starts
    "ours": (ours, ["tessera.data.readers.build"]),
    "tifffile.imread": (whole, ["tifffile", "imagecodecs"]),
    "tifffile zarr": (zarr_windows, ["tifffile", "imagecodecs", "zarr"]),
    "rasterio": (rasterio_windows, ["rasterio.windows"]),
    "pyvips": (vips_regions, ["pyvips"]),
    "pytorch-toolbelt": (toolbelt_slicer, ["tifffile", "imagecodecs", "pytorch_toolbelt.inference.tiles"]),
}


def sample(patches: Iterator[np.ndarray]) -> int:
    """Reads some pixels of every patch; the same patches give the same number."""
    return sum(number * int(patch[::37, ::41].sum(dtype=np.int64)) for number, patch in enumerate(patches, 1))


LABELS = {  # of the image, by what the task names
    "mask": {"train_masks": "masks/{image_id}.tif"},
    "rle": {"train_rle": "train.csv"},
    "": {"train_masks": "masks/{image_id}.tif"},  # there is none: it is a test image
}


def tile(path: Path, label: str) -> int:
    """The whole way into tiles.h5 at the image's own resolution, in this process."""
    import pandas as pd

    from tessera.data.readers.build import open_image
    from tessera.data.tiling import write_tiles
    from tessera.params.tile import Tile

    with open_image(path) as reader:
        shape = dict(zip(("depth", "height", "width", "channels"), reader.shape, strict=True))
    subset = "train" if label else "test"
    row = shape | {"image_id": path.stem, "subset": subset, "image": path.name, "slices": ""}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        section = Tile(scale=1.0, size=SIZE, stride=STRIDE, keep_empty=1.0)
        tiled = write_tiles(pd.DataFrame([row]), _data(path, label), section, Path(folder) / "tiles.h5")
        return int((tiled.patches.positive_fraction * SIZE**2).sum())


def ingest(path: Path, label: str) -> int:
    """Reads and checks an image and its label."""
    from tessera.data.ingest import build_manifest

    return int(build_manifest(_data(path, label)).height[0])


def _data(path: Path, label: str) -> "Data":
    from tessera.params.data import Data

    return Data(
        source=str(path.parent), task="binary", classes=["a"], channels="all", train_images="{image_id}.tif",
        solution=None, **LABELS[label],
    )  # fmt: skip


STAGES = {"tile": (tile, ["tessera.data.tiling", "tessera.params.tile"]), "ingest": (ingest, ["tessera.data.ingest"])}


def main(task: str, path: Path) -> None:
    stage, _, label = task.partition(" ")
    work, modules = PATCHES.get(task) or STAGES[stage]
    for module in modules:
        importlib.import_module(module)
    start = time.process_time()
    check = sample(work(path)) if task in PATCHES else work(path, label)
    print(json.dumps({"cpu": time.process_time() - start, "rss": peak_rss(), "check": check}))


def peak_rss() -> int:
    """Bytes; `ru_maxrss` would start at the parent's, which is larger than some tasks."""
    return int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

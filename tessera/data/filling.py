"""Fills one image's place in tiles.h5: pixels and labels at the working scale, band by band."""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np
import pandas as pd

from tessera.data.annotations.planes import LabelSlice
from tessera.data.labelling import Labels
from tessera.data.manifest import label_slices
from tessera.data.patches import drop_background, index_slice
from tessera.data.pixels import TRUTH_ROWS, Depth
from tessera.data.readers.base import Band
from tessera.data.regions import Place, Plane
from tessera.data.resampling import Size, enlarge, resample_labels, resample_pixels, source_span
from tessera.data.scaling import IDENTITY, Counts, Scaling, count, measure
from tessera.data.slices import Slices
from tessera.tasks import IGNORE

if TYPE_CHECKING:
    from tessera.params.data import Data
    from tessera.params.tile import Tile


class Shared(NamedTuple):
    """What filling any image needs."""

    data: "Data"
    tile: "Tile"
    path: Path  # of tiles.h5
    labels: Labels
    threads: int  # that decode one image
    scaling: Scaling | None = None  # of the data set, where it has one
    report: Callable[[int], object] | None = None  # is told of every band how many bytes it has in its source's type


class Job(NamedTuple):
    """An image and its place."""

    row: pd.Series
    pixels: Place
    labels: Place | None
    valid: Place | None = None


class Filled(NamedTuple):
    """What is known of an image once its place is filled."""

    scalings: list[Scaling]  # a slice
    patches: list[pd.DataFrame]  # a labelled slice
    truth: list[tuple[int, int, bytes]]  # slice, first row and zlib bytes of each chunk, where the scale is not 1
    bytes_a_value: int  # of the source's type
    written: list[int]  # a plane of pixels, labels and valid area: the CRC-32 of its bytes
    overlap: np.ndarray  # (2,) of truth and enlarged working labels: twice the common pixels, and the sum of both


def fill_image(shared: Shared, job: Job) -> Filled:
    """Reads, scales and writes an image or volume."""
    row, size, working = job.row, (job.row.height, job.row.width), job.pixels.shape[1:3]
    with open(shared.path, "r+b") as file, Slices(row, shared.data, shared.threads) as slices, shared.labels:
        filled = Filled([], [], [], slices.dtype.itemsize, [], np.zeros(2, np.int64))
        filled.scalings.extend(_scalings(slices, row.depth, shared))
        for z, scaling in enumerate(filled.scalings):
            bands = _scaled(slices.bands(z), scaling, shared.report)
            filled.written.append(Plane(file, job.pixels, z).write(resample_pixels(bands, size, working)))
        for z in range(job.labels.shape[0] if job.labels else 0):  # once all slices are there to tell background
            _fill_labels(shared, job, file, z, filled)
        for z in range(job.valid.shape[0] if job.valid else 0):
            filled.written.append(_fill_valid(shared, job, file, z))
    return filled


def count_image(shared: Shared, job: tuple[pd.Series, tuple[int, ...]]) -> Counts:
    """`scaling.count` of a whole image or volume; 8-bit ones are not read."""
    row, uppers = job
    with Slices(row, shared.data, shared.threads) as slices:
        return count(slices.pixels(range(row.depth if slices.dtype != np.uint8 else 0)), uppers)


def _scalings(slices: Slices, depth: int, shared: Shared) -> list[Scaling]:
    if slices.dtype == np.uint8:
        return [IDENTITY] * depth
    if shared.scaling:
        return [shared.scaling] * depth

    def measured(depths: range) -> Scaling:
        return measure(lambda uppers=(): count(slices.pixels(depths), uppers), shared.tile.percentiles)

    if shared.tile.scaling == "slice":
        return [measured(range(z, z + 1)) for z in range(depth)]
    return [measured(range(depth))] * depth


def _scaled(bands: Iterator[Band], scaling: Scaling, report: Callable[[int], object] | None) -> Iterator[Band]:
    for y, rows in bands:
        yield y, scaling.apply(rows)
        if report:
            report(rows.nbytes)


def _fill_labels(shared: Shared, job: Job, file: BinaryIO, z: int, filled: Filled) -> None:
    row, size, plane = job.row, (job.row.height, job.row.width), Plane(file, job.labels, z)
    truth = []

    def kept(bands: Iterator[Band]) -> Iterator[Band]:
        for y, rows in bands:
            truth.append((z, y, zlib.compress(_whole_chunk(rows, size), 1)))
            yield y, rows

    asked, working = LabelSlice(row.image_id, label_slices(row), z, size), plane.shape[:2]
    bands = shared.labels.bands(asked, TRUTH_ROWS)
    filled.written.append(plane.write(resample_labels(bands if working == size else kept(bands), size, working)))
    patches = index_slice(plane, shared.tile.size, shared.tile.stride, shared.data.classes)
    if shared.tile.min_std or shared.tile.min_saturated:
        shown = Plane(file, job.pixels, Depth(row.depth, len(label_slices(row))).slice_of(z))
        patches = drop_background(patches, shown, shared.tile.size, shared.tile.min_std, shared.tile.min_saturated)
    patches.insert(0, "image_id", row.image_id)
    patches.insert(1, "z", z)
    filled.patches.append(patches)
    for _, y, chunk in truth:
        rows = np.frombuffer(zlib.decompress(chunk), np.uint8).reshape(-1, size[1], *plane.shape[2:])[: size[0] - y]
        filled.overlap[:] += _overlap(rows, y, plane, size)
    filled.truth.extend(truth)


def _fill_valid(shared: Shared, job: Job, file: BinaryIO, z: int) -> int:
    """Writes the valid area of a label slice: each working pixel that covers some of it. Returns its CRC-32."""
    row, size, plane = job.row, (job.row.height, job.row.width), Plane(file, job.valid, z)
    planes = shared.labels.valid.bands(LabelSlice(row.image_id, label_slices(row), z, size), TRUTH_ROWS)
    bands = ((number * TRUTH_ROWS, (valid > 0)[..., None] * np.uint8(255)) for number, (valid,) in enumerate(planes))
    return plane.write((y, (rows > 0)[..., 0].view(np.uint8)) for y, rows in resample_pixels(bands, size, plane.shape))


def _whole_chunk(rows: np.ndarray, size: Size) -> np.ndarray:
    """Rows filled up to a chunk of `truth`, as HDF5 stores the last one."""
    lack = min(TRUTH_ROWS, size[0]) - len(rows)
    return np.ascontiguousarray(np.pad(rows, ((0, lack), *[(0, 0)] * (rows.ndim - 1))))


def _overlap(truth: np.ndarray, y: int, plane: Plane, size: Size) -> tuple[int, int]:
    """Dice's two sums over the valid pixels of some rows of the truth and the working labels brought back there."""
    rows = (y, y + len(truth))
    first, last = source_span(*rows, size[0], plane.shape[0])
    working = np.moveaxis(np.atleast_3d(plane[first:last] == 1).astype(np.float32), -1, 0)
    truth = np.moveaxis(np.atleast_3d(truth), -1, 0)
    found = (enlarge(working, (first, 0), rows, (0, size[1]), size, plane.shape[:2]) >= 0.5) & (truth != IGNORE)
    positive = truth == 1
    return 2 * int((found & positive).sum()), int(found.sum()) + int(positive.sum())

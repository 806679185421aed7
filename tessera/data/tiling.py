"""Raw images → tiles.h5 and the index of candidate patches; memory does not grow with the images."""

import functools
import hashlib
import json
import operator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import h5py
import pandas as pd
from tqdm import tqdm

from tessera.data.filling import Filled, Job, Shared, count_image, fill_image
from tessera.data.labelling import READING as LABEL_KEYS
from tessera.data.labelling import Labels
from tessera.data.manifest import TRAIN, label_slices
from tessera.data.patches import COLUMNS, drop_empty
from tessera.data.pixels import create_image
from tessera.data.pool import ordered
from tessera.data.regions import Place
from tessera.data.resampling import working_size
from tessera.data.scaling import Counts, Scaling, measure
from tessera.data.slices import Slices
from tessera.disk import require_room

if TYPE_CHECKING:
    from tessera.params.data import Data
    from tessera.params.tile import Tile

_READING = {"channels", "level", "pixel_size", "flip_pairs", *LABEL_KEYS}
_SHARE = 2**26  # pixel values that are worth a process of their own


class Tiled(NamedTuple):
    """The candidate patches of training images, and by image_id the Dice of their truth after the way to the working
    scale and back: what a model that learns its labels perfectly reaches."""

    patches: pd.DataFrame
    ceilings: pd.Series  # empty at scale 1


def write_tiles(manifest: pd.DataFrame, data: "Data", tile: "Tile", path: Path, threads: int = 1) -> Tiled:
    """Writes every image of the manifest into the pixel store at `path`, with up to `threads` cores.

    Raises InputError naming an image that cannot be read.
    """
    path.unlink(missing_ok=True)  # the processes of a killed run may still hold the old file
    labels = Labels.open(data, [])
    jobs = _lay_out(manifest, data, tile, path, labels)
    values = [job.row.depth * job.row.height * job.row.width * job.row.channels for job in jobs]
    processes = max(1, min(threads, len(jobs), sum(values) // _SHARE))
    shared = Shared(data, tile, path, labels, max(1, threads // processes))
    if tile.scaling == "dataset":
        shared = shared._replace(scaling=_measure_all(jobs, shared, processes))
    with Slices(jobs[0].row, data, 1) as first:
        expected = first.dtype.itemsize  # bytes a value, until an image says that it has others
    patches, ceilings, written, done = [pd.DataFrame(columns=COLUMNS)], {}, [], 0
    with (
        h5py.File(path, "r+") as file,
        tqdm(desc="tile", total=sum(values) * expected, unit="B", unit_scale=True, disable=None) as bar,
    ):
        if processes == 1:
            shared = shared._replace(report=bar.update)
        for number, filled in enumerate(ordered(fill_image, shared, jobs, processes)):
            job, done = jobs[number], done + values[number] * filled.bytes_a_value
            bar.total += values[number] * (filled.bytes_a_value - expected)
            _describe(file[job.row.image_id], job, filled, scale_of(job.row, data, tile))
            patches += filled.patches
            written.append(filled.written)
            if filled.truth:
                common, both = filled.overlap
                ceilings[job.row.image_id] = common / both if both else 1.0
            bar.set_postfix_str(f"{(number + 1) / max(bar.format_dict['elapsed'], 1e-3):.2f} images/s", refresh=False)
            bar.update(done - bar.n)
        file.attrs["digest"] = _digest(manifest, data, tile, written)
    return Tiled(drop_empty(_concat(patches), tile.keep_empty, seed=0), pd.Series(ceilings, dtype=float))


def scale_of(row: pd.Series, data: "Data", tile: "Tile") -> float:
    """Working px per original px of an image: the same for all, or such that its working px measure `tile.pixel_size`."""
    return tile.scale if tile.pixel_size is None else float(row[data.pixel_size]) / tile.pixel_size


def _lay_out(manifest: pd.DataFrame, data: "Data", tile: "Tile", path: Path, labels: Labels) -> list[Job]:
    """Makes the file with a place for every image."""
    jobs = []
    with h5py.File(path, "w") as file:
        if data.flip_pairs:  # here, since a stage that trains or predicts reads no optional key of `data`
            file.attrs["flip_pairs"] = json.dumps(data.flip_pairs)
        for _, row in manifest.iterrows():
            size = working_size(row.height, row.width, scale_of(row, data, tile))
            shape, labelled = (row.depth, *size, row.channels), row.subset == TRAIN
            classes, names = len(data.classes) * labelled, label_slices(row)
            valid = labels.valid is not None and labels.valid.known(row.image_id, names)
            group = create_image(file, row.image_id, shape, (row.height, row.width), classes, len(names), valid)
            places = (Place.of(group[name]) if name in group else None for name in ("pixels", "labels", "valid"))
            jobs.append(Job(row, *places))
    there = path.stat()
    require_room(there.st_size - 512 * there.st_blocks, path)  # its place is laid out, but not taken
    return jobs


def _measure_all(jobs: list[Job], shared: Shared, processes: int) -> Scaling:
    """One scaling for the data set, from its training images: it must fit images that nobody has seen yet."""
    rows = [job.row for job in jobs if job.row.subset == TRAIN]

    def count_all(uppers: tuple[int, ...] = ()) -> Counts:
        counted = ordered(count_image, shared, [(row, uppers) for row in rows], processes)
        return functools.reduce(operator.add, tqdm(counted, "measure", len(rows), unit="image", disable=None))

    return measure(count_all, shared.tile.percentiles)


def _describe(group: h5py.Group, job: Job, filled: Filled, scale: float) -> None:
    """Records how the pixels were made, and writes the truth where it differs from the labels."""
    black, white = zip(*filled.scalings, strict=True)
    if len(set(filled.scalings)) == 1:
        black, white = black[0], white[0]
    group.attrs.update(black=black, white=white, height=job.row.height, width=job.row.width, scale=scale)
    require_room(sum(len(chunk) for *_, chunk in filled.truth), Path(group.file.filename))
    for z, y, chunk in filled.truth:
        group["truth"].id.write_direct_chunk((z, y, *[0] * (group["truth"].ndim - 2)), chunk)


def _concat(patches: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in patches if len(frame)] or patches[:1]
    return pd.concat(filled, ignore_index=True)


def _digest(manifest: pd.DataFrame, data: "Data", tile: "Tile", written: list[list[int]]) -> str:
    """Names the content of the store: what is in it, by image and plane, and what it was made from."""
    read = data.model_dump(include=_READING, exclude_defaults=True)
    said = json.dumps([manifest.to_csv(index=False), read, tile.model_dump(), written], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()

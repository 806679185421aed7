"""Raw files → manifest. Collects every problem before it complains."""

import hashlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm import tqdm

from tessera.data.annotations.planes import LabelSlice
from tessera.data.labelling import Labels
from tessera.data.layout import Item, find_items
from tessera.data.manifest import COLUMNS, LABEL_UNIT, TEST, TRAIN, label_slices
from tessera.data.readers.build import open_image
from tessera.data.template import build_template
from tessera.errors import InputError, collected, raise_problems
from tessera.labels import read_csv

if TYPE_CHECKING:
    from tessera.params.data import Data

UNKNOWN = ("", "nan")  # cells that name no group or stratum
_BLOCK = 2**20  # bytes of a file that are digested at once


def build_manifest(data: "Data", threads: int = 1) -> pd.DataFrame:
    """Reads and checks every file of the raw layout; one row an image or volume. threads: that decode one file.

    Raises InputError listing all problems, each with its file and row.
    """
    source = Path(data.source)
    if not source.is_dir():
        raise InputError(f"{source}: no such folder; put or symlink the competition's files there (data.source)")
    problems: list[str] = []
    labels, items = None, {TRAIN: [], TEST: []}
    with collected(problems):
        labels = Labels.open(data, problems)
    for subset, pattern in ((TRAIN, data.train_images), (TEST, data.test_images)):
        with collected(problems):
            items[subset] = find_items(source, pattern) if pattern else []
    meta = _read_meta(data, problems)
    rows = [
        _check_item(item, subset, data, labels if subset == TRAIN else None, threads, problems)
        for subset in items
        for item in _with_rates(items[subset], source, f"check {subset}")
    ]
    table = pd.DataFrame(rows, columns=[name for name in COLUMNS if name not in ("stratum", "domain")])
    if data.labels == "volume":
        table[LABEL_UNIT] = data.labels
    problems += _twice(table)
    if labels and items[TRAIN]:
        named = [  # a file's own slices are known by now
            item._replace(slices=tuple(filter(None, label_slices(row))))
            for item, row in zip(items[TRAIN] + items[TEST], table.itertuples(), strict=True)
        ]
        problems += labels.strangers(named[: len(items[TRAIN])], named[len(items[TRAIN]) :])
    if items[TEST] or not data.test_images:
        with collected(problems):  # checked here, so that its problems are listed with all others
            build_template(data, table)
    if meta is not None:
        table = _join_meta(table, meta, data, problems)
    once = list(dict.fromkeys(problems))  # a wrong label of a whole volume is met by each slice
    raise_problems(f"{source} cannot be used", once)
    return table


def _with_rates(items: list[Item], source: Path, said: str) -> Iterator[Item]:
    """The items under a bar of the images and the MB of files that are done in a second."""
    done = 0
    with tqdm(items, desc=said, unit="image", disable=None) as bar:
        for item in bar:
            yield item
            done += sum(path.stat().st_size for path in item.files(source) if path.exists())
            bar.set_postfix_str(f"{done / 1e6 / max(bar.format_dict['elapsed'], 1e-3):.1f} MB/s", refresh=False)


def _check_item(
    item: Item, subset: str, data: "Data", labels: "Labels | None", threads: int, problems: list[str]
) -> dict:
    """One manifest row; what is wrong with the item's files goes to `problems`."""
    digest, shapes, names = hashlib.sha256(), {}, item.slices
    for path in item.files(Path(data.source)):
        with collected(problems):
            shape, dtype = _read_through(path, data, threads, digest)
            if item.slices and shape[0] > 1:
                raise InputError(f"{path}: holds {shape[0]} slices; a pattern with {{slice}} expects a file a slice")
            shapes.setdefault((shape[1:], dtype), path)
            if shape[0] > 1:  # a volume in one file: its slices are named by their numbers
                names = tuple(map(str, range(shape[0])))
    if len(shapes) > 1:
        listed = "; ".join(f"{path.name} is {shape} {dtype}" for (shape, dtype), path in shapes.items())
        problems.append(f"{item.pattern}: the slices of a volume must be alike, but {listed}")
    (height, width, channels), _ = next(iter(shapes), ((0, 0, 0), ""))
    labelled = (() if data.labels == "volume" else names) or ("",)
    with labels or nullcontext():
        for z in range(len(labelled)) if labels and shapes else ():
            with collected(problems):
                for _ in labels.bands(LabelSlice(item.image_id, labelled, z, (height, width))):
                    pass
    return {
        "image_id": item.image_id, "subset": subset, "group": item.group or item.image_id,
        "height": height, "width": width, "depth": max(1, len(names)), "channels": channels, "image": item.pattern,
        "label": labels.place(item.image_id) if labels else "", "slices": "/".join(names),
        "digest": digest.hexdigest(),
    }  # fmt: skip


def _read_through(path: Path, data: "Data", threads: int, digest: "hashlib._Hash") -> tuple[tuple, str]:
    """The shape (Z, H, W, C) and type of a file of which every segment could be decoded; its bytes go to `digest`."""
    with open_image(path, data.channels, data.level, threads) as reader:
        for z in range(reader.shape[0]):
            for _ in reader.bands(z):
                pass
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return reader.shape, reader.dtype.name


def _twice(table: pd.DataFrame) -> list[str]:
    """Ids in train and test at once, and images whose number of channels differs from the first."""
    problems = [
        f"id {image_id!r} stands for two images: {', '.join(rows.image)}"
        for image_id, rows in table.groupby("image_id")
        if len(rows) > 1
    ]
    known = table[table.channels > 0]
    strange = known[known.channels != known.channels.iloc[0]] if len(known) else known
    return problems + [
        f"{row.image}: has {row.channels} channels, {known.image.iloc[0]} has {known.channels.iloc[0]}; set data.channels to grey or rgb to convert"
        for row in strange.itertuples()
    ]


def _read_meta(data: "Data", problems: list[str]) -> pd.DataFrame | None:
    """The rows of all meta files, `_place` naming file and line; None when one cannot be read.

    That, and a second row of one id, go to `problems`.
    """
    tables = [pd.DataFrame({data.id: [], "_place": []}, dtype=str)]
    for name in data.meta:
        with collected(problems):
            table = read_csv(Path(data.source) / name, id=data.id)
            table[data.id] = table[data.id].str.removesuffix(data.id_ending)
            tables.append(table.assign(_place=[f"{name} line {line}" for line in table.index + 2]))
    if len(tables) <= len(data.meta):
        return None
    meta = pd.concat(tables, ignore_index=True).fillna("")
    twice = meta[meta[data.id].duplicated()]
    problems += [
        f"{place}: id {i!r} has a second row" for place, i in zip(twice["_place"], twice[data.id], strict=True)
    ]
    return meta.drop_duplicates(data.id)


def _join_meta(table: pd.DataFrame, meta: pd.DataFrame, data: "Data", problems: list[str]) -> pd.DataFrame:
    """Adds group, stratum, domain and the user's other columns; groups and strata must be known for training images."""
    named = {"group": data.group, "stratum": data.stratum, "domain": data.domain}
    for column in filter(None, named.values()):
        if column not in meta.columns:
            problems.append(
                f"{', '.join(data.meta)}: no column {column!r} (data.{_key(named, column)}); there are {', '.join(meta.columns.drop('_place'))}"
            )
    known = set(meta[data.id])
    for row in table.itertuples():
        if data.meta and row.image_id not in known:
            problems.append(f"{', '.join(data.meta)}: no row for image {row.image_id!r} ({row.image})")
    _check_pixel_sizes(table, meta, data, problems)
    own = [
        c
        for c in meta.columns
        if c not in ("_place", data.id, data.rle_column, data.class_column, LABEL_UNIT, *COLUMNS)
    ]
    joined = table.merge(meta.rename(columns={data.id: "image_id"})[["image_id", *own]], on="image_id", how="left")
    joined[own] = joined[own].fillna("")
    for key, column in named.items():
        values = (
            table.image_id.map(meta.set_index(data.id, drop=False)[column])
            if column in meta.columns
            else pd.Series("", table.index)
        )
        joined[key] = values.fillna("")
        if column in meta.columns and key != "domain":
            unknown = joined[key].str.strip().str.lower().isin(UNKNOWN)
            lacking = joined[unknown & (joined.subset == TRAIN) & joined.image_id.isin(meta[data.id])]
            places = meta.set_index(data.id, drop=False)["_place"]
            problems += [
                f"{places[row.image_id]}: image {row.image_id!r} has no {column} (data.{key}), found {getattr(row, key)!r}"
                for row in lacking.itertuples()
            ]
    if data.group is None:
        joined["group"] = table.group  # the layout's
    return joined


def _check_pixel_sizes(table: pd.DataFrame, meta: pd.DataFrame, data: "Data", problems: list[str]) -> None:
    """Every image, test images too, must say its own where `data.pixel_size` names a column."""
    if data.pixel_size is None:
        return
    if data.pixel_size not in meta.columns:
        problems.append(f"{', '.join(data.meta)}: no column {data.pixel_size!r} (data.pixel_size)")
        return
    rows = meta[meta[data.id].isin(table.image_id)]
    sizes = pd.to_numeric(rows[data.pixel_size], errors="coerce")
    problems += [
        f"{row._place}: image {row[data.id]!r} has {data.pixel_size} {row[data.pixel_size]!r}; µm a pixel, above 0, are expected (data.pixel_size)"
        for _, row in rows[~(sizes > 0) | np.isinf(sizes)].iterrows()
    ]


def _key(named: dict, column: str) -> str:
    return next(key for key, value in named.items() if value == column)

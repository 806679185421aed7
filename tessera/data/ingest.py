"""Raw files → manifest. Collects every problem before it complains."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from tqdm import tqdm

from tessera.data.images import read_image
from tessera.data.labelling import Labels
from tessera.data.layout import Item, find_items
from tessera.data.manifest import COLUMNS, TEST, TRAIN, row_ids
from tessera.errors import InputError, raise_problems
from tessera.labels import read_csv

if TYPE_CHECKING:
    from tessera.params import Data


def build_manifest(data: "Data") -> pd.DataFrame:
    """Reads and checks every file of the raw layout; one row an image or volume.

    Raises InputError listing all problems, each with its file and row.
    """
    source = Path(data.source)
    if not source.is_dir():
        raise InputError(f"{source}: no such folder; put or symlink the competition's files there (data.source)")
    problems: list[str] = []
    labels = Labels.open(data, problems)
    meta = _read_meta(data, problems)
    rows = []
    for subset, pattern in ((TRAIN, data.train_images), (TEST, data.test_images)):
        items = find_items(source, pattern) if pattern else []
        for item in tqdm(items, desc=f"check {subset}", unit="image", disable=None):
            rows.append(_check_item(item, subset, data, labels if subset == TRAIN else None, problems))
    table = pd.DataFrame(rows, columns=[name for name in COLUMNS if name not in ("group", "stratum", "domain")])
    problems += _twice(table)
    problems += labels.strangers(
        {row_id for _, row in table[table.subset == TRAIN].iterrows() for row_id in row_ids(row)}
    )
    table = _join_meta(table, meta, data, problems)
    raise_problems(f"{source} cannot be used", problems)
    return table


def _check_item(item: Item, subset: str, data: "Data", labels: "Labels | None", problems: list[str]) -> dict:
    """One manifest row; what is wrong with the item's files goes to `problems`."""
    digest, shapes = hashlib.sha256(), {}
    for z, path in enumerate(item.files(Path(data.source))):
        try:
            pixels = read_image(path, data.channels)
            digest.update(path.read_bytes())
            shapes.setdefault((pixels.shape, pixels.dtype.name), path)
            if labels:
                labels.read(item.image_id, item.slices[z] if item.slices else "", pixels.shape[:2])
        except InputError as error:
            problems.append(str(error))
    if len(shapes) > 1:
        listed = "; ".join(f"{path.name} is {shape} {dtype}" for (shape, dtype), path in shapes.items())
        problems.append(f"{item.pattern}: the slices of a volume must be alike, but {listed}")
    (height, width, channels), _ = next(iter(shapes), ((0, 0, 0), ""))
    return {
        "image_id": item.image_id, "subset": subset, "height": height, "width": width,
        "depth": max(1, len(item.slices)), "channels": channels, "image": item.pattern,
        "label": labels.place(item.image_id) if labels else "", "slices": "/".join(item.slices),
        "digest": digest.hexdigest(),
    }  # fmt: skip


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


def _read_meta(data: "Data", problems: list[str]) -> pd.DataFrame:
    """The rows of all meta files; a second row of one id is a problem."""
    tables = [read_csv(Path(data.source) / name, data.id).assign(_place=name) for name in data.meta]
    meta = pd.concat(tables, ignore_index=True).fillna("") if tables else pd.DataFrame({data.id: [], "_place": []})
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
    for row in table.itertuples():
        if data.meta and row.image_id not in set(meta[data.id]):
            problems.append(f"{', '.join(data.meta)}: no row for image {row.image_id!r} ({row.image})")
    own = [c for c in meta.columns if c not in ("_place", data.id, data.rle_column, *COLUMNS)]
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
            lacking = joined[(joined[key] == "") & (joined.subset == TRAIN) & joined.image_id.isin(meta[data.id])]
            problems += [f"{', '.join(data.meta)}: image {i!r} has no {column} (data.{key})" for i in lacking.image_id]
    if data.group is None:
        joined["group"] = joined.image_id
    return joined


def _key(named: dict, column: str) -> str:
    return next(key for key, value in named.items() if value == column)

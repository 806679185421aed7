"""Grouped, stratified folds; refuses leaks."""

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from tessera.data.manifest import TEST, TRAIN
from tessera.errors import InputError, raise_problems


def split_images(manifest: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Whole images in `count` folds by StratifiedGroupKFold: groups stay together, strata spread evenly."""
    train = manifest[manifest.subset == TRAIN].sort_values("image_id", ignore_index=True)
    groups = train.group.nunique()
    if groups < count:
        raise InputError(f"fold.count is {count}, but there are {groups} groups; lower it, or use fold.unit: part")
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    frequent = train.stratum.map(train.stratum.value_counts()) >= count
    strata = train.stratum.where(frequent, "")  # those rarer than folds cannot be spread evenly
    fold = np.zeros(len(train), int)
    for number, (_, held_out) in enumerate(splitter.split(train, strata, train.group)):
        fold[held_out] = number
    return _parts(train, [(0, depth) for depth in train.depth], fold)


def split_depth(manifest: pd.DataFrame, count: int) -> pd.DataFrame:
    """Every volume in `count` z-blocks of equal depth, block k in fold k. Raises InputError for a volume too thin."""
    train = manifest[manifest.subset == TRAIN].sort_values("image_id", ignore_index=True)
    thin = train[train.depth < count]
    if len(thin):
        raise InputError(
            f"fold.unit part: volume {thin.image_id.iloc[0]!r} has {thin.depth.iloc[0]} slices for {count} blocks"
        )
    blocks = []
    for fold in range(count):
        bounds = [(depth * fold // count, depth * (fold + 1) // count) for depth in train.depth]
        blocks.append(_parts(train, bounds, fold))
    return pd.concat(blocks, ignore_index=True)


def _parts(rows: pd.DataFrame, depths: list[tuple[int, int]], fold: np.ndarray | int) -> pd.DataFrame:
    z0, z1 = zip(*depths, strict=True)
    return pd.DataFrame(
        {
            "image_id": rows.image_id,
            "z0": z0,
            "z1": z1,
            "y0": 0,
            "y1": rows.height,
            "x0": 0,
            "x1": rows.width,
            "fold": fold,
        }
    )


def check_folds(parts: pd.DataFrame, manifest: pd.DataFrame, count: int, unit: str) -> None:
    """Raises InputError listing every leak with its two places, and every empty fold."""
    problems = [f"fold {fold} is empty" for fold in range(count) if not (parts.fold == fold).any()]
    if unit == "image":
        joined = parts.merge(manifest, on="image_id")
        for column in ("group", "digest"):
            problems += _shared(joined, column, "fold")
    test = manifest[manifest.subset == TEST]
    train = manifest[manifest.subset == TRAIN]
    for column in ("group", "digest"):
        for value in sorted((set(train[column]) & set(test[column])) - {""}):
            places = [rows[rows[column] == value].image_id.iloc[0] for rows in (train, test)]
            problems.append(f"{column} {value!r} is in train ({places[0]}) and in test ({places[1]})")
    raise_problems("the folds leak", problems)


def _shared(joined: pd.DataFrame, column: str, fold: str) -> list[str]:
    problems = []
    for value, rows in joined.groupby(column):
        if rows[fold].nunique() > 1:
            first, second = rows.drop_duplicates(fold).head(2).itertuples()
            problems.append(
                f"{column} {value!r} is in fold {first.fold} (image {first.image_id}) and in fold {second.fold} (image {second.image_id})"
            )
    return problems

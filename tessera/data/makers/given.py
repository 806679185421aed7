"""Whole images in the user's own folds."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from tessera.data.parts import whole_images
from tessera.errors import InputError, raise_problems
from tessera.labels import read_csv

if TYPE_CHECKING:
    from tessera.params.data import Data
    from tessera.params.fold import Fold


def make_given(train: pd.DataFrame, patches: pd.DataFrame, fold: "Fold") -> pd.DataFrame:
    """The folds of the manifest's column `fold.given`: 0…count − 1 for every training image."""
    if fold.given not in train.columns:
        raise InputError(f"fold.given: the manifest has no column {fold.given!r}; it has {', '.join(train.columns)}")
    known = {str(number): number for number in range(fold.count)}
    found = train[fold.given].astype(str).map(known)
    strange = train[found.isna()]
    raise_problems(
        f"fold.given {fold.given}: every training image needs a fold of 0…{fold.count - 1} (fold.count {fold.count})",
        [f"image {row.image_id!r} has {row[fold.given]!r}" for _, row in strange.iterrows()],
    )
    return whole_images(train).assign(fold=found.astype(int))


def read_given(path: Path, data: "Data", image_ids: pd.Series, dropped: list[str]) -> pd.Series:
    """The column `fold` of a csv, in the order of the training images' ids; rows of images that were dropped are passed
    over. The csv's ids end in `data.id_ending`. Raises InputError naming file and id."""
    table = read_csv(path, "fold", id=data.id)
    table[data.id] = table[data.id].str.removesuffix(data.id_ending)
    table = table[~table[data.id].isin(dropped)]
    ids = table[data.id]
    problems = [f"id {name!r} has a second row" for name in ids[ids.duplicated()]]
    problems += [f"id {name!r} is no training image; remove its row" for name in sorted(set(ids) - set(image_ids))]
    problems += [f"training image {name!r} has no row" for name in sorted(set(image_ids) - set(ids))]
    raise_problems(f"{path} (fold.given)", problems)
    return image_ids.map(table.set_index(data.id).fold)

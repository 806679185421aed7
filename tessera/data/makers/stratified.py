"""Whole images; groups stay together, strata are spread evenly."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from tessera.data.parts import whole_images
from tessera.errors import InputError

if TYPE_CHECKING:
    from tessera.params.fold import Fold


def make_stratified(train: pd.DataFrame, patches: pd.DataFrame, fold: "Fold") -> pd.DataFrame:
    """scikit-learn's StratifiedGroupKFold over the combinations of `fold.strata` and of bins of the positive share."""
    groups = train.group.nunique()
    if groups < fold.count:
        raise InputError(f"fold.count is {fold.count}, but there are {groups} groups; lower it, or use fold.unit: part")
    columns = [train[name].astype(str) for name in fold.strata]
    if fold.positive_bins > 1:
        columns.append(pd.qcut(positive_share(train, patches), fold.positive_bins, labels=False, duplicates="drop"))
    splitter = StratifiedGroupKFold(fold.count, shuffle=True, random_state=fold.seed)
    number = np.zeros(len(train), int)
    for fold_number, (_, held_out) in enumerate(
        splitter.split(train, _combined(columns, train.index, fold.count), train.group)
    ):
        number[held_out] = fold_number
    return whole_images(train).assign(fold=number)


def positive_share(train: pd.DataFrame, patches: pd.DataFrame) -> pd.Series:
    """The positive share of the valid pixels of each image's candidate patches; 0 without any."""
    valid = patches.valid_fraction.groupby(patches.image_id).sum()
    positive = (patches.positive_fraction * patches.valid_fraction).groupby(patches.image_id).sum()
    return train.image_id.map(positive / valid).fillna(0)


def _combined(columns: list[pd.Series], index: pd.Index, count: int) -> pd.Series:
    """One stratum an image: all columns together or, where fewer than `count` images share them, the first ones."""
    found = joined = pd.Series("", index)
    often = pd.Series(True, index)
    for column in columns:
        joined = joined + "\n" + column.astype(str)
        often &= joined.map(joined.value_counts()) >= count  # rarer ones cannot be spread evenly
        found = joined.where(often, found)
    return found

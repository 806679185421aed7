"""Fold makers by name: (training images, candidate patches, `fold` section) → parts."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from tessera.data.boxes import BOX
from tessera.data.makers.blocks import make_blocks
from tessera.data.makers.domains import make_domains
from tessera.data.makers.given import make_given, read_given
from tessera.data.makers.stratified import make_stratified
from tessera.data.makers.strips import make_strips
from tessera.data.makers.z_blocks import make_z_blocks
from tessera.data.manifest import TRAIN
from tessera.errors import InputError

if TYPE_CHECKING:
    from tessera.params.data import Data
    from tessera.params.fold import Fold

MAKERS = {
    "stratified": make_stratified,
    "domains": make_domains,
    "given": make_given,
    "z_blocks": make_z_blocks,
    "strips": make_strips,
    "blocks": make_blocks,
}


def make_folds(
    manifest: pd.DataFrame, patches: pd.DataFrame, fold: "Fold", data: "Data", dropped: list[str]
) -> pd.DataFrame:
    """The parts of all training images: the columns of a box, and `fold`. patches: with their bounds. dropped: ids of
    images that were cleaned out, which a list of folds may still name."""
    train = manifest[manifest.subset == TRAIN].sort_values("image_id", ignore_index=True)
    if fold.given and fold.given.endswith(".csv"):
        given = read_given(Path(data.source) / fold.given, data, train.image_id, dropped)
        train = train.assign(**{fold.given: given})
    for column in fold.strata:
        if column not in train.columns:
            raise InputError(f"fold.strata: the manifest has no column {column!r}; it has {', '.join(train.columns)}")
    return MAKERS[fold.maker_name](train, patches, fold)[[*BOX, "fold"]]

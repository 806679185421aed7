"""Blocks of slices of every volume."""

from typing import TYPE_CHECKING

import pandas as pd

from tessera.data.parts import whole_images
from tessera.errors import InputError

if TYPE_CHECKING:
    from tessera.params.fold import Fold


def make_z_blocks(train: pd.DataFrame, patches: pd.DataFrame, fold: "Fold") -> pd.DataFrame:
    """Every volume in `count` blocks of equal depth, block k in fold k. Raises InputError for a volume too thin."""
    thin = train[train.depth < fold.count]
    if len(thin):
        raise InputError(
            f"fold.unit part: volume {thin.image_id.iloc[0]!r} has {thin.depth.iloc[0]} slices for {fold.count} blocks; "
            "lower fold.count, or use fold.maker strips or blocks"
        )
    edges = [train.depth * number // fold.count for number in range(fold.count + 1)]
    blocks = [whole_images(train).assign(z0=edges[k], z1=edges[k + 1], fold=k) for k in range(fold.count)]
    return pd.concat(blocks, ignore_index=True)

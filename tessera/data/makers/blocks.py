"""Blocks of the plane of every image, through all of its slices."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tessera.data.boxes import holders
from tessera.data.parts import whole_images
from tessera.errors import InputError

if TYPE_CHECKING:
    from tessera.params.fold import Fold


def make_blocks(train: pd.DataFrame, patches: pd.DataFrame, fold: "Fold") -> pd.DataFrame:
    """Every image in `fold.blocks` (rows, columns) of equal extent; folds are alike in number and in positive area."""
    rows, columns = fold.blocks
    if rows * columns * len(train) < fold.count:
        raise InputError(
            f"fold.blocks {rows} × {columns} makes {rows * columns * len(train)} blocks of {len(train)} image(s), "
            f"fewer than fold.count {fold.count}; cut finer"
        )
    blocks = pd.concat(
        [
            whole_images(train).assign(
                y0=train.height * row // rows, y1=train.height * (row + 1) // rows,
                x0=train.width * column // columns, x1=train.width * (column + 1) // columns,
            )
            for row in range(rows)
            for column in range(columns)
        ],
        ignore_index=True,
    ).sort_values("image_id", kind="stable", ignore_index=True)  # fmt: skip
    return blocks.assign(fold=_deal(blocks, patches, fold))


def _deal(blocks: pd.DataFrame, patches: pd.DataFrame, fold: "Fold") -> np.ndarray:
    """A fold a block: those richest in positives are dealt first, a round of all folds after another."""
    holder = holders(patches, blocks)
    area = (patches.positive_fraction * patches.valid_fraction).to_numpy()
    positive = np.bincount(holder[holder >= 0], area[holder >= 0], minlength=len(blocks))
    random = np.random.default_rng(fold.seed)
    dealt = np.concatenate([random.permutation(fold.count) for _ in range(-(-len(blocks) // fold.count))])
    found = np.empty(len(blocks), int)
    found[np.argsort(-positive, kind="stable")] = dealt[: len(blocks)]
    return found

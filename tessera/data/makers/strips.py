"""Strips across the longer side of every image, through all of its slices."""

from typing import TYPE_CHECKING

import pandas as pd

from tessera.data.parts import whole_images

if TYPE_CHECKING:
    from tessera.params.fold import Fold


def make_strips(train: pd.DataFrame, patches: pd.DataFrame, fold: "Fold") -> pd.DataFrame:
    """Every image in `count` strips of equal extent, strip k in fold k."""
    images = whole_images(train)
    tall = train.height >= train.width
    strips = []
    for k in range(fold.count):
        strip = images.assign(fold=k)
        for axis, side, cut in (("y", train.height, tall), ("x", train.width, ~tall)):
            strip[f"{axis}0"] = (side * k // fold.count).where(cut, 0)
            strip[f"{axis}1"] = (side * (k + 1) // fold.count).where(cut, side)
        strips.append(strip)
    return pd.concat(strips, ignore_index=True)

"""The split that leaks. Never a fold maker: what it scores above honest folds is the price of the leak."""

import numpy as np
import pandas as pd

from tessera.data.boxes import BOX, holders

PLANE = ["y0", "y1", "x0", "x1"]


def random_split(
    patches: pd.DataFrame, parts: pd.DataFrame, count: int, seed: int
) -> tuple[np.ndarray, pd.DataFrame, str]:
    """Deals pieces to `count` folds at random, blind to groups and buffers.

    A piece is a slice (without depth or with one label for all of it, the image) or, where the parts cut the plane, a candidate patch.
    Returns the fold of each patch (its bounds in original px), the pieces as boxes with their `fold` and the fold
    `honest` of the part that holds them (−1: none), and what they are. Of each honest fold, every random one gets its
    share, so that both splits can be scored on pixels that both hold out.
    """
    cut = parts.groupby("image_id")[PLANE].nunique().gt(1).any(axis=None)
    key = BOX if cut else ["image_id", "z0", "z1"]
    pieces = patches[BOX].drop_duplicates(key, ignore_index=True)
    if not cut:
        whole = parts.drop_duplicates("image_id").set_index("image_id")  # every part has the plane of its image
        pieces[PLANE] = whole.loc[pieces.image_id, PLANE].to_numpy()
    holder = holders(pieces, parts)
    pieces["honest"] = np.where(holder >= 0, parts.fold.to_numpy()[holder], -1)
    order = np.random.default_rng(seed).permutation(len(pieces))
    order = order[np.argsort(pieces.honest.to_numpy()[order], kind="stable")]
    pieces.loc[order, "fold"] = np.arange(len(pieces)) % count
    pieces["fold"] = pieces.fold.astype(int)
    fold = patches[key].merge(pieces[[*key, "fold"]], on=key, how="left").fold.to_numpy()
    return fold, pieces, "patches" if cut else "slices" if (pieces.z0 > 0).any() else "images"

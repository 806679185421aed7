"""Boxes: what a part, a patch or a training window covers of an image.

A table of boxes has `image_id` and `BOUNDS`, half-open: slices, and px of the original or of the working scale. Between
two boxes lie the slices or px by which they are apart along an axis; boxes that touch are 0 apart.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from tessera.data.pixels import PixelStore

BOUNDS = ["z0", "z1", "y0", "y1", "x0", "x1"]
BOX = ["image_id", *BOUNDS]


def near(boxes: pd.DataFrame, others: pd.DataFrame, slices: int, px: int) -> np.ndarray:
    """The pairs (row of boxes, row of others), (P, 2), of one image that overlap once `others` grow by slices and px."""
    pairs = _pairs(boxes, others)
    close = np.ones(len(pairs), bool)
    for axis, reach in (("z", slices), ("y", px), ("x", px)):
        before = pairs[f"{axis}0_other"] - pairs[f"{axis}1"]
        behind = pairs[f"{axis}0"] - pairs[f"{axis}1_other"]
        close &= (before < reach) & (behind < reach)
    return pairs.loc[close, ["row", "row_other"]].to_numpy()


def holders(boxes: pd.DataFrame, others: pd.DataFrame) -> np.ndarray:
    """For each box the row of `others`, which do not overlap, that holds it entirely; −1 where none does."""
    pairs = _pairs(boxes, others)
    inside = np.ones(len(pairs), bool)
    for axis in "zyx":
        inside &= (pairs[f"{axis}0"] >= pairs[f"{axis}0_other"]) & (pairs[f"{axis}1"] <= pairs[f"{axis}1_other"])
    found = np.full(len(boxes), -1)
    found[pairs.row[inside]] = pairs.row_other[inside]
    return found


def _pairs(boxes: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    left, right = (table[BOX].assign(row=np.arange(len(table))) for table in (boxes, others))
    return left.merge(right, on="image_id", suffixes=("", "_other"))


def union(boxes: pd.DataFrame) -> pd.DataFrame:
    """Boxes that together cover the same pixels as `boxes`: rows of a grid merge along x, then y, then z."""
    for axis in "xyz":
        start, end = f"{axis}0", f"{axis}1"
        same = [name for name in BOX if name not in (start, end)]
        boxes = boxes[BOX].sort_values([*same, start], ignore_index=True)
        reached = boxes.groupby(same)[end].cummax()
        reached = reached.groupby([boxes[name] for name in same]).shift()  # by the boxes before; none is NaN
        runs = (~(boxes[start] <= reached)).cumsum()
        boxes = boxes.groupby(runs).agg(dict.fromkeys(same, "first") | {start: "min", end: "max"})
    return boxes[BOX].reset_index(drop=True)


def over_depth(boxes: pd.DataFrame, store: PixelStore) -> pd.DataFrame:
    """Boxes of label slices → of the slices they speak of: all of them where one label stands for all depth."""
    return _where_one_label(boxes, store, lambda depth: depth)


def in_label_slices(boxes: pd.DataFrame, store: PixelStore) -> pd.DataFrame:
    """Boxes of slices → of label slices: the only one where one label stands for all depth."""
    return _where_one_label(boxes, store, lambda depth: 1)


def _where_one_label(boxes: pd.DataFrame, store: PixelStore, end: Callable[[int], int]) -> pd.DataFrame:
    depths = {name: store.depth(name) for name in boxes.image_id.unique()}
    ends = {name: end(depth.slices) for name, depth in depths.items() if depth.one_label}
    alone = boxes.image_id.isin(ends)
    return boxes.assign(z0=boxes.z0.mask(alone, 0), z1=boxes.z1.mask(alone, boxes.image_id.map(ends)).astype(int))


def in_original_px(boxes: pd.DataFrame, store: PixelStore, manifest: pd.DataFrame) -> pd.DataFrame:
    """Boxes in working px → original px, cut at the image and rounded outwards: all that their pixels were made from."""
    scaled = boxes.copy()
    for axis, length, working in _sides(boxes, store, manifest):
        scaled[f"{axis}0"] = boxes[f"{axis}0"].clip(0) * length // working
        scaled[f"{axis}1"] = -(-boxes[f"{axis}1"].clip(upper=working) * length // working)
    return scaled


def in_working_px(boxes: pd.DataFrame, store: PixelStore, manifest: pd.DataFrame) -> pd.DataFrame:
    """Boxes in original px → working px: the pixels whose centres lie in them, so that parts share none."""
    scaled = boxes.copy()
    for axis, length, working in _sides(boxes, store, manifest):
        for name in (f"{axis}0", f"{axis}1"):
            scaled[name] = -((length - 2 * working * boxes[name]) // (2 * length))
    return scaled


def _sides(boxes: pd.DataFrame, store: PixelStore, manifest: pd.DataFrame) -> list[tuple[str, pd.Series, pd.Series]]:
    """(axis, original px, working px) of the boxes' images, for y and x."""
    shapes = {image_id: store.shape(image_id) for image_id in boxes.image_id.unique()}
    sizes = manifest.set_index("image_id")
    return [
        (axis, boxes.image_id.map(sizes[side]), boxes.image_id.map({name: shape[n] for name, shape in shapes.items()}))
        for axis, side, n in (("y", "height", 1), ("x", "width", 2))
    ]

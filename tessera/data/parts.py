"""Parts, of which folds are made, and the patches that may train beside them.

A part is a whole image, a z-block of a volume, or a strip or block of the plane. folds.csv has a row a part, bounds in
original px and half-open: `image_id, z0, z1, y0, y1, x0, x1, fold`.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from tessera.data.boxes import BOUNDS, holders, in_original_px, near, over_depth
from tessera.data.pixels import PixelStore
from tessera.errors import InputError


def whole_images(rows: pd.DataFrame) -> pd.DataFrame:
    """The boxes of whole images, a row a manifest row."""
    return pd.DataFrame(
        {"image_id": rows.image_id, "z0": 0, "z1": rows.depth, "y0": 0, "y1": rows.height, "x0": 0, "x1": rows.width}
    )


def read_folds(path: Path) -> pd.DataFrame:
    """The parts, with the column `part_id`."""
    parts = pd.read_csv(path, dtype={"image_id": str}, keep_default_na=False)  # an image may be called NA
    return parts.assign(part_id=part_ids(parts))


def with_manifest(parts: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """The parts with what the manifest says of their images. Its column `fold`, say, which is the user's, stays out."""
    return parts.merge(manifest.drop(columns=parts.columns.drop("image_id"), errors="ignore"), on="image_id")


def part_ids(parts: pd.DataFrame) -> list[str]:
    """A name a part: the image_id where the part is the whole image, else `<image_id>@0-4` (z) or `<image_id>@y0-50x0-99`.

    Named are the bounds in which the parts of the image differ.
    """
    differ = parts.groupby("image_id")[BOUNDS].transform("nunique") > 1
    names = []
    for part, by in zip(parts.itertuples(), differ.itertuples(), strict=True):
        depth = f"{part.z0}-{part.z1}" if by.z0 or by.z1 else ""
        plane = plane_of(part) if by.y0 or by.y1 or by.x0 or by.x1 else ""
        names.append(part.image_id + "@" * bool(depth or plane) + depth + plane)
    return names


def plane_of(part: pd.Series) -> str:
    """Where a box lies in the plane, such as `y0-50x0-99`."""
    return f"y{part.y0}-{part.y1}x{part.x0}-{part.x1}"


def place_patches(patches: pd.DataFrame, size: int, store: PixelStore, manifest: pd.DataFrame) -> pd.DataFrame:
    """The candidate patches of the manifest's images with their `BOUNDS` in original px. size: of a patch, working px."""
    patches = patches[patches.image_id.isin(manifest.image_id)].reset_index(drop=True)
    boxes = patches.assign(
        z0=patches.z, z1=patches.z + 1, y0=patches.y, y1=patches.y + size, x0=patches.x, x1=patches.x + size
    )
    return in_original_px(over_depth(boxes, store), store, manifest)


def training_patches(
    patches: pd.DataFrame, windows: pd.DataFrame, parts: pd.DataFrame, fold: int, buffer: int, half_depth: int
) -> np.ndarray:
    """Which candidate patches, bool, may train a model that never sees `fold`.

    windows: what training may read of each patch, as boxes in original px, row by row. Left out: patches that no part
    holds entirely; those of which the patch or the window comes nearer to a part of the fold than `buffer` (slices,
    and original px); and those whose 2.5D stack (`half_depth` slices to each side) touches one.
    """
    held_out = parts[parts.fold == fold]
    kept = holders(patches, parts) >= 0
    for boxes in (patches, windows):
        kept[near(boxes, held_out, max(buffer, half_depth), buffer)[:, 0]] = False
    if not kept.any():
        raise InputError(
            f"no patch is left to train beside fold {fold}: fold.buffer {buffer}, windows of this model's size and a "
            f"stack of {half_depth} slices to each side exclude all {len(patches)}; lower fold.buffer or the model's "
            "size, zoom, shift, slices or step, give it planes: [xy], or use fewer folds or larger blocks"
        )
    return kept


def check_windows(windows: pd.DataFrame, parts: pd.DataFrame, fold: int, buffer: int) -> None:
    """Raises InputError when a training window lies in, or nearer than `buffer` to, a part of the held-out fold."""
    held_out = parts[parts.fold == fold]
    leaks = near(windows, held_out, buffer, buffer)
    if len(leaks):
        window, part = windows.iloc[leaks[0, 0]], held_out.iloc[leaks[0, 1]]
        raise InputError(
            f"leak: {len(leaks)} training window(s) too near to fold {fold}, the first in {window.image_id} slice "
            f"{window.z0}, px {plane_of(window)}; the fold holds its slices {part.z0}…{part.z1 - 1}, px {plane_of(part)}, "
            f"and fold.buffer is {buffer}"
        )


def summarize(parts: pd.DataFrame, manifest: pd.DataFrame, patches: pd.DataFrame, count: int) -> list[dict]:
    """One row a fold: images, groups, strata, slices, candidate patches and the positive share of their pixels.

    patches: with their bounds; one belongs to the part that holds it entirely.
    """
    joined = parts.merge(manifest[["image_id", "group", "stratum"]], on="image_id")
    holder = holders(patches, parts)
    fold_of = np.where(holder >= 0, parts.fold.to_numpy()[holder], -1)
    rows = []
    for fold in range(count):
        mine, inside = joined[joined.fold == fold], patches[fold_of == fold]
        rows.append(
            {
                "fold": fold,
                "images": int(mine.image_id.nunique()),
                "groups": int(mine.group.nunique()),
                "strata": {name or "–": int(n) for name, n in mine.stratum.value_counts().sort_index().items()},
                "slices": int((mine.z1 - mine.z0).sum()),
                "patches": len(inside),
                "positive_share": float(
                    (inside.positive_fraction * inside.valid_fraction).sum() / max(inside.valid_fraction.sum(), 1e-9)
                ),
            }
        )
    return rows

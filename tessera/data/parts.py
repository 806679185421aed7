"""Parts, of which folds are made, and the patches that may train beside them.

A part is a whole image, or a z-block of a volume. folds.csv has a row a part, bounds in original px and half-open:
`image_id, z0, z1, y0, y1, x0, x1, fold`.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from tessera.errors import InputError


def read_folds(path: Path) -> pd.DataFrame:
    """The parts, with the column `part_id`."""
    parts = pd.read_csv(path, dtype={"image_id": str})
    return parts.assign(part_id=part_ids(parts))


def part_ids(parts: pd.DataFrame) -> list[str]:
    """A name a part: the image_id where the part is the whole image, else `<image_id>@z0-z1`."""
    alone = ~parts.image_id.duplicated(keep=False)
    return [
        row.image_id if whole else f"{row.image_id}@{row.z0}-{row.z1}"
        for row, whole in zip(parts.itertuples(), alone, strict=True)
    ]


def training_patches(
    patches: pd.DataFrame, parts: pd.DataFrame, fold: int, buffer: int, half_depth: int
) -> pd.DataFrame:
    """The candidate patches that may train a model which never sees `fold`.

    Left out: patches of the fold's own parts and, in the same volume, slices whose 2.5D stack (`half_depth` to each
    side) touches them or that lie within `buffer` slices of them.
    """
    held_out = parts[parts.fold == fold]
    reach = max(buffer, half_depth)
    near = np.zeros(len(patches), bool)
    for part in held_out.itertuples():
        near |= (patches.image_id == part.image_id) & (patches.z >= part.z0 - reach) & (patches.z < part.z1 + reach)
    kept = patches[~near & patches.image_id.isin(parts.image_id)].reset_index(drop=True)
    if kept.empty:
        raise InputError(
            f"no patch is left to train beside fold {fold}: fold.buffer {buffer} and a stack of {half_depth} slices to "
            f"each side exclude all {len(patches)}; lower fold.buffer, slices or step, or use fewer folds"
        )
    return kept


def check_patches(patches: pd.DataFrame, parts: pd.DataFrame, fold: int, buffer: int) -> None:
    """Raises InputError when a training patch lies in, or nearer than `buffer` slices to, a part of the held-out fold."""
    held_out = parts[parts.fold == fold]
    joined = patches.merge(held_out, on="image_id")
    distance = np.maximum(joined.z0 - joined.z, joined.z - joined.z1 + 1)  # slices to the part; ≤ 0 inside it
    leaks = joined[distance <= buffer]
    if len(leaks):
        leak = leaks.iloc[0]
        raise InputError(
            f"leak: {len(leaks)} training patch(es) too near to fold {fold}, the first in {leak.image_id} slice {leak.z}; "
            f"the fold holds its slices {leak.z0}…{leak.z1 - 1} and fold.buffer is {buffer}"
        )


def summarize(parts: pd.DataFrame, manifest: pd.DataFrame, patches: pd.DataFrame, count: int) -> list[dict]:
    """One row a fold: images, groups, strata, slices, candidate patches and the positive share of their pixels."""
    joined = parts.merge(manifest[["image_id", "group", "stratum"]], on="image_id")
    rows = []
    for fold in range(count):
        mine = joined[joined.fold == fold]
        inside = patches.merge(mine, on="image_id").query("z0 <= z < z1")
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

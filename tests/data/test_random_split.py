import numpy as np
import pandas as pd
import pytest

from tessera.data.boxes import BOX, holders
from tessera.data.parts import whole_images
from tessera.data.random_split import random_split

IMAGES = pd.DataFrame({"image_id": list("abcdef"), "depth": 4, "height": 40, "width": 30})
WHOLE = whole_images(IMAGES).assign(fold=[0, 0, 1, 1, 2, 2])
BLOCKS = pd.concat([whole_images(IMAGES).assign(z0=2 * k, z1=2 * k + 2, fold=k) for k in range(2)], ignore_index=True)
STRIPS = pd.concat(
    [whole_images(IMAGES).assign(y0=20 * k, y1=20 * k + 20, fold=k) for k in range(2)], ignore_index=True
)
PATCHES = pd.DataFrame(
    [(name, z, z + 1, y, y + 10, x, x + 10) for name in "abcdef" for z in range(4) for y in (0, 10, 15, 30) for x in (0, 9)],
    columns=BOX,
)  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "unit", "number"), [(WHOLE, "slices", 24), (BLOCKS, "slices", 24), (STRIPS, "patches", len(PATCHES))]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_pieces_are_dealt_evenly_within_each_honest_fold(
    parts: pd.DataFrame, unit: str, number: int, seed: int
) -> None:
    count = parts.fold.nunique()
    fold, pieces, said = random_split(PATCHES, parts, count, seed)
    assert (said, len(pieces)) == (unit, number)
    sizes = pieces.groupby(["honest", "fold"]).size().unstack()
    assert sizes.notna().all(axis=None) and (sizes.max(axis=1) - sizes.min(axis=1) <= 1).all()
    assert (holders(pieces[pieces.honest >= 0], parts) >= 0).all()
    key = ["image_id", "z0"] if unit == "slices" else BOX
    together = PATCHES.assign(fold=fold).groupby(key).fold.nunique()
    assert (together == 1).all()
    assert (pieces.groupby("image_id").fold.nunique() > 1).any(), "blind to images, and so to groups"


def test_without_depth_a_piece_is_an_image() -> None:
    flat = PATCHES[PATCHES.z0 == 0].reset_index(drop=True)
    _, pieces, said = random_split(flat, WHOLE.assign(z1=1), 3, 0)
    assert said == "images"
    assert pieces[BOX].sort_values("image_id").to_numpy().tolist() == WHOLE.assign(z1=1)[BOX].to_numpy().tolist()


def test_the_seed_alone_decides() -> None:
    first, again, other = (random_split(PATCHES, WHOLE, 3, seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()

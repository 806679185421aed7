from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.data.boxes import BOX
from tessera.data.parts import (
    check_windows,
    part_ids,
    place_patches,
    read_folds,
    summarize,
    training_patches,
    whole_images,
)
from tessera.data.pixels import PixelStore
from tessera.errors import InputError

DEPTH = 12
PARTS = pd.DataFrame(  # v in three blocks of four slices; w whole, in fold 0
    [
        ("v", 0, 4, 0, 9, 0, 9, 0),
        ("v", 4, 8, 0, 9, 0, 9, 1),
        ("v", 8, 12, 0, 9, 0, 9, 2),
        ("w", 0, DEPTH, 0, 9, 0, 9, 0),
    ],
    columns=[*BOX, "fold"],
)
PATCHES = pd.DataFrame([(name, z, z + 1, 0, 9, 0, 9) for name in "vw" for z in range(DEPTH)], columns=BOX)


def _distance(z: int, z0: int, z1: int) -> int:
    """Slices from z to the nearest of z0…z1 − 1."""
    return min(abs(z - other) for other in range(z0, z1))


@pytest.mark.parametrize("fold", [0, 1, 2])
@pytest.mark.parametrize(("buffer", "half_depth"), [(0, 0), (1, 0), (0, 1), (2, 1), (1, 2)])
def test_no_patch_is_nearer_than_the_buffer_and_no_stack_touches_the_fold(
    fold: int, buffer: int, half_depth: int
) -> None:
    kept = PATCHES[training_patches(PATCHES, PATCHES, PARTS, fold, buffer, half_depth)]
    held_out = PARTS[PARTS.fold == fold]
    wanted = [
        (row.image_id, row.z0)
        for row in PATCHES.itertuples()
        if all(
            _distance(row.z0, part.z0, part.z1) > max(buffer, half_depth)
            for part in held_out[held_out.image_id == row.image_id].itertuples()
        )
    ]
    assert list(kept[["image_id", "z0"]].itertuples(index=False, name=None)) == wanted
    check_windows(kept, PARTS, fold, buffer)


def test_patches_of_images_in_no_fold_are_left_out() -> None:
    kept = training_patches(PATCHES, PATCHES, PARTS[PARTS.image_id == "v"], 0, 0, 0)
    assert set(PATCHES.image_id[kept]) == {"v"}


@pytest.mark.parametrize("buffer", [0, 2])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_planted_window_is_refused_up_to_the_buffer_and_accepted_beyond(buffer: int, side: int) -> None:
    edge = 4 if side < 0 else 7  # of fold 1's slices 4…7
    near, far = (PATCHES[PATCHES.z0 == edge + side * distance].head(1) for distance in (buffer, buffer + 1))
    said = rf"v slice {near.z0.iloc[0]}, px y0-9x0-9;.*slices 4…7, px y0-9x0-9, and fold.buffer is {buffer}"
    with pytest.raises(InputError, match=said):
        check_windows(near, PARTS, 1, buffer)
    check_windows(far, PARTS, 1, buffer)


def test_a_fold_that_leaves_nothing_to_train_on_is_refused() -> None:
    only = PARTS[PARTS.image_id == "v"]
    with pytest.raises(InputError, match="fold 1"):
        training_patches(PATCHES, PATCHES, only, 1, 4, 0)


def _planes(*rows: tuple[int, int, int, int]) -> pd.DataFrame:
    return pd.DataFrame([("v", 0, 1, *row) for row in rows], columns=BOX)


QUARTERS = _planes((0, 50, 0, 50), (0, 50, 50, 100), (50, 100, 0, 50), (50, 100, 50, 100)).assign(fold=[0, 1, 2, 2])


@pytest.mark.parametrize("buffer", [0, 7])
@pytest.mark.parametrize("fold", [0, 1, 2])
@pytest.mark.parametrize("margin", [0, 4])
def test_in_the_plane_neither_patch_nor_window_comes_nearer_than_the_buffer(
    buffer: int, fold: int, margin: int
) -> None:
    places = [(y, x) for y in range(0, 91, 3) for x in range(0, 91, 3)]
    patches = _planes(*((y, y + 10, x, x + 10) for y, x in places))
    windows = _planes(*((y - margin, y + 10 + margin, x - margin, x + 10 + margin) for y, x in places))
    kept = training_patches(patches, windows, QUARTERS, fold, buffer, 0)
    ours = np.zeros((200, 200), int)  # 1 + fold of each px, 50 px of margin around the image
    for part in QUARTERS.itertuples():
        ours[part.y0 + 50 : part.y1 + 50, part.x0 + 50 : part.x1 + 50] = part.fold + 1
    reach = margin + buffer
    for (y, x), keep in zip(places, kept, strict=True):
        around = ours[y + 50 - reach : y + 60 + reach, x + 50 - reach : x + 60 + reach]
        quarter = {(py // 50, px // 50) for py in (y, y + 9) for px in (x, x + 9)}
        assert keep == ((fold + 1 not in around) and len(quarter) == 1)
    check_windows(windows[kept], QUARTERS, fold, buffer)
    with pytest.raises(InputError, match=rf"too near to fold {fold}.*fold.buffer is {buffer}"):
        check_windows(QUARTERS[QUARTERS.fold == fold], QUARTERS, fold, buffer)


def test_patches_are_placed_in_original_px(pixel_store: Callable[..., PixelStore]) -> None:
    store = pixel_store({"v": np.zeros((2, 20, 30, 1), np.uint8)})
    manifest = pd.DataFrame([("v", 40, 60, 2)], columns=["image_id", "height", "width", "depth"])
    patches = pd.DataFrame([("v", 1, 4, 20), ("gone", 0, 0, 0)], columns=["image_id", "z", "y", "x"])
    placed = place_patches(patches, 16, store, manifest)
    assert placed[BOX].to_numpy().tolist() == [["v", 1, 2, 8, 40, 40, 60]]
    assert placed[["y", "x"]].to_numpy().tolist() == [[4, 20]]


def test_read_folds_names_the_parts_and_keeps_ids_as_text(tmp_path: Path) -> None:
    rows = [
        "image_id,z0,z1,y0,y1,x0,x1,fold",
        "007,0,1,0,9,0,9,0",
        "8,0,2,0,9,0,9,0",
        "8,2,4,0,9,0,9,1",
        "NA,0,1,0,9,0,9,0",
    ]
    (tmp_path / "folds.csv").write_text("\n".join(rows))
    assert read_folds(tmp_path / "folds.csv").part_id.tolist() == ["007", "8@0-2", "8@2-4", "NA"]


def test_a_part_is_named_by_the_bounds_in_which_its_image_is_cut() -> None:
    assert part_ids(PARTS) == ["v@0-4", "v@4-8", "v@8-12", "w"]
    assert part_ids(QUARTERS.head(2)) == ["v@y0-50x0-50", "v@y0-50x50-100"]
    both = pd.DataFrame([("v", z, z + 1, y, y + 2, 0, 9) for z in (0, 1) for y in (0, 2)], columns=BOX)
    assert part_ids(both)[:2] == ["v@0-1y0-2x0-9", "v@0-1y2-4x0-9"]


def test_the_summary_counts_what_each_fold_holds() -> None:
    names = [f"i{number}" for number in range(6)]
    manifest = pd.DataFrame(
        {"image_id": names, "group": ["g0", "g0", "g1", "g1", "g2", "g2"], "stratum": list("aabbaa"), "depth": 4}
    ).assign(height=20, width=20)
    parts = pd.concat(
        [whole_images(manifest).assign(z0=0, z1=2, fold=0), whole_images(manifest).assign(z0=2, z1=4, fold=1)]
    )
    rng = np.random.default_rng(0)
    patches = pd.DataFrame([(name, z, z + 1, 0, 9, 0, 9) for name in names for z in range(4)], columns=BOX)
    patches = patches.assign(valid_fraction=rng.random(24), positive_fraction=rng.random(24))
    for fold, said in enumerate(summarize(parts, manifest, patches, 2)):
        mine = patches[(patches.z0 // 2) == fold]
        assert (said["images"], said["groups"], said["slices"], said["patches"]) == (6, 3, 12, 12)
        assert said["strata"] == {"a": 4, "b": 2}
        expected = np.average(mine.positive_fraction, weights=mine.valid_fraction)
        assert said["positive_share"] == pytest.approx(expected)


def test_a_patch_across_two_parts_is_in_no_fold_of_the_summary() -> None:
    manifest = pd.DataFrame([("v", "g", "a")], columns=["image_id", "group", "stratum"])
    patches = _planes((0, 10, 0, 10), (45, 55, 0, 10), (60, 70, 60, 70)).assign(
        valid_fraction=1.0, positive_fraction=0.5
    )
    assert [row["patches"] for row in summarize(QUARTERS, manifest, patches, 3)] == [1, 0, 1]

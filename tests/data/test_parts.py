from pathlib import Path

import pandas as pd
import pytest

from tessera.data.parts import check_patches, read_folds, training_patches
from tessera.errors import InputError

DEPTH = 12
PARTS = pd.DataFrame(  # v in three blocks of four slices; w whole, in fold 0
    [("v", 0, 4, 0), ("v", 4, 8, 1), ("v", 8, 12, 2), ("w", 0, DEPTH, 0)], columns=["image_id", "z0", "z1", "fold"]
)
PATCHES = pd.DataFrame([(name, z) for name in "vw" for z in range(DEPTH)], columns=["image_id", "z"])


def _distance(z: int, z0: int, z1: int) -> int:
    """Slices from z to the nearest of z0…z1 − 1."""
    return min(abs(z - other) for other in range(z0, z1))


@pytest.mark.parametrize("fold", [0, 1, 2])
@pytest.mark.parametrize(("buffer", "half_depth"), [(0, 0), (1, 0), (0, 1), (2, 1), (1, 2)])
def test_no_patch_is_nearer_than_the_buffer_and_no_stack_touches_the_fold(
    fold: int, buffer: int, half_depth: int
) -> None:
    kept = training_patches(PATCHES, PARTS, fold, buffer, half_depth)
    held_out = PARTS[PARTS.fold == fold]
    wanted = [
        (row.image_id, row.z)
        for row in PATCHES.itertuples()
        if all(
            _distance(row.z, part.z0, part.z1) > max(buffer, half_depth)
            for part in held_out[held_out.image_id == row.image_id].itertuples()
        )
    ]
    assert list(kept.itertuples(index=False, name=None)) == wanted
    check_patches(kept, PARTS, fold, buffer)


def test_patches_of_images_in_no_fold_are_left_out() -> None:
    kept = training_patches(PATCHES, PARTS[PARTS.image_id == "v"], 0, 0, 0)
    assert set(kept.image_id) == {"v"}


@pytest.mark.parametrize("buffer", [0, 2])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_planted_patch_is_refused_up_to_the_buffer_and_accepted_beyond(buffer: int, side: int) -> None:
    edge = 4 if side < 0 else 7  # of fold 1's slices 4…7
    near, far = (pd.DataFrame({"image_id": ["v"], "z": [edge + side * distance]}) for distance in (buffer, buffer + 1))
    with pytest.raises(InputError, match=rf"v slice {near.z[0]};.*slices 4…7.*fold.buffer is {buffer}"):
        check_patches(near, PARTS, 1, buffer)
    check_patches(far, PARTS, 1, buffer)


def test_a_fold_that_leaves_nothing_to_train_on_is_refused() -> None:
    only = PARTS[PARTS.image_id == "v"]
    with pytest.raises(InputError, match="fold 1"):
        training_patches(PATCHES, only, 1, 4, 0)


def test_read_folds_names_the_parts_and_keeps_ids_as_text(tmp_path: Path) -> None:
    rows = ["image_id,z0,z1,y0,y1,x0,x1,fold", "007,0,1,0,9,0,9,0", "8,0,2,0,9,0,9,0", "8,2,4,0,9,0,9,1"]
    (tmp_path / "folds.csv").write_text("\n".join(rows))
    assert read_folds(tmp_path / "folds.csv").part_id.tolist() == ["007", "8@0-2", "8@2-4"]

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from tessera.data.leaks import check_folds
from tessera.data.parts import whole_images
from tessera.errors import InputError
from tessera.params.fold import Fold


class World(NamedTuple):
    """Three groups of three images, a group a fold, and four test images; no leak in it."""

    parts: pd.DataFrame
    manifest: pd.DataFrame
    patches: pd.DataFrame

    def check(self, unit: str = "image", **changes: object) -> list[str]:
        fold = Fold(**{"unit": unit, "count": 3, "run": [0], "buffer": 0, "seed": 0} | changes)
        return check_folds(self.parts, self.manifest, self.patches, fold, store=None)

    def plant(self, column: str, value: str, *images: str) -> None:
        self.manifest.loc[self.manifest.image_id.isin(images), column] = value


@pytest.fixture
def world() -> World:
    rows = [
        (f"i{g}_{n}", "train" if g < 3 else "test", f"g{g}", "abc"[n], "", 30, 20, 6, f"d{g}_{n}")
        for g in range(5)
        for n in range(3)
    ]
    names = ["image_id", "subset", "group", "stratum", "domain", "height", "width", "depth", "digest"]
    manifest = pd.DataFrame(rows, columns=names)
    images = whole_images(manifest[manifest.subset == "train"])
    patches = images.assign(z1=1, valid_fraction=1.0, positive_fraction=0.5)
    return World(images.assign(fold=np.repeat([0, 1, 2], 3)), manifest, patches)


def _z_blocks(world: World) -> World:
    blocks = [world.parts.assign(z0=2 * k, z1=2 * k + 2, fold=k) for k in range(3)]
    patches = [world.patches.assign(z0=z, z1=z + 1) for z in range(6)]
    return World(pd.concat(blocks, ignore_index=True), world.manifest, pd.concat(patches, ignore_index=True))


def test_clean_folds_pass(world: World) -> None:
    assert world.check() == []
    assert _z_blocks(world).check("part") == []


def test_the_user_s_columns_may_be_called_as_a_part_s(world: World) -> None:
    world.manifest["fold"] = world.manifest["z0"] = 7
    assert world.check() == []
    world.plant("group", "same", "i0_0", "i2_1")
    with pytest.raises(InputError, match=r"fold 0 \(image i0_0\) and in fold 2"):
        world.check()


SAID = {"group": "group 'same' is in", "digest": "identical files are in"}


@pytest.mark.parametrize(
    ("keys", "fix"),
    [
        ({}, r"give them one group \(data\.group\)"),
        ({"maker": "domains"}, r"give them one domain \(data\.domain\)"),
        ({"maker": "given", "given": "own.csv"}, r"give them one fold \(fold\.given\)"),
    ],
    ids=["stratified", "domains", "given"],
)
@pytest.mark.parametrize("column", SAID)
def test_a_value_in_two_folds_is_a_leak_that_names_both_images(world: World, column: str, keys: dict, fix: str) -> None:
    world.plant(column, "same", "i0_0", "i2_1")
    places = rf"fold 0 \(image i0_0\) and in fold 2 \(image i2_1\): {fix}"
    rest = r" or leave one out \(clean\.drop: \[i2_1\]\)" if column == "digest" else ""
    with pytest.raises(InputError, match=rf"{SAID[column]} {places}{rest}$"):
        world.check(**keys, strata=[])


def test_a_value_in_one_fold_is_no_leak(world: World) -> None:
    world.plant("digest", "same", "i0_0", "i0_1")
    world.check()


def test_parts_of_one_image_share_all_but_two_images_may_not_be_the_same_file(world: World) -> None:
    blocks = _z_blocks(world)
    blocks.plant("group", "same", "i0_0", "i2_1")
    blocks.check("part")
    blocks.plant("digest", "same", "i0_0", "i2_1")
    with pytest.raises(InputError, match=r"fold 0 \(image i0_0\) and in fold 1 \(image i2_1\): leave one out"):
        blocks.check("part")


@pytest.mark.parametrize("unit", ["image", "part"])
@pytest.mark.parametrize("column", SAID)
def test_a_value_in_train_and_test_is_a_leak_that_names_both_images(world: World, column: str, unit: str) -> None:
    world.plant(column, "same", "i1_1", "i4_0", "i1_2")
    fix = r"leave out what would train \(clean\.drop: \[i1_1, i1_2\]\)"
    with pytest.raises(InputError, match=rf"{SAID[column]} train \(i1_1\) and in test \(i4_0\): {fix}"):
        (world if unit == "image" else _z_blocks(world)).check(unit)


def test_an_empty_fold_is_named(world: World) -> None:
    with pytest.raises(InputError, match="fold 3 is empty"):
        world.check(count=4, strata=[])


def test_a_fold_without_positives_is_named(world: World) -> None:
    world.patches.loc[world.patches.image_id.str.startswith("i1"), "positive_fraction"] = 0.0
    with pytest.raises(InputError, match="fold 1 holds no patch with positives"):
        world.check()


def test_positives_that_only_cross_parts_are_in_no_fold(world: World) -> None:
    halves = [world.parts.assign(y0=15 * k, y1=15 * k + 15, fold=k) for k in range(2)]
    crossing = world.patches.assign(y0=10, y1=20)
    upper = world.patches.assign(y0=0, y1=10)
    with pytest.raises(InputError, match="1 problem(?s:.)*fold 1 holds no patch with positives"):
        World(pd.concat(halves), world.manifest, pd.concat([crossing, upper])).check(
            "part", count=2, maker="blocks", blocks=(2, 1)
        )


def test_a_stratum_that_a_fold_lacks_is_an_error_where_enough_groups_have_it(world: World) -> None:
    world.plant("stratum", "b", "i2_2")
    world.manifest.loc[world.manifest.image_id == "i0_2", "group"] = "g0_again"  # c: groups g0_again and g1
    notes = world.check()
    assert notes == [
        "stratum 'c' is absent from fold 2: 2 group(s) have it, fewer than folds, so some fold must lack it"
    ]
    world.plant("stratum", "c", "i0_1")  # and g0: three
    with pytest.raises(
        InputError, match=r"stratum 'c' is absent from fold 2: 3 group\(s\) have it; use another fold.seed"
    ):
        world.check()


def test_of_held_out_domains_those_that_have_a_stratum_count(world: World) -> None:
    world.manifest["domain"] = world.manifest.group
    world.plant("stratum", "a", "i0_1", "i0_2")
    said = "stratum 'b' is absent from fold 0: 2 domain(s) have it"
    assert said in world.check(maker="domains")[0]


def test_every_column_of_the_strata_is_checked(world: World) -> None:
    world.manifest["scanner"] = "s"
    world.plant("scanner", "t", "i0_0")
    assert world.check(strata=["stratum", "scanner"])[0].startswith("scanner 't' is absent from fold 1, 2: 1 group(s)")
    world.manifest["year"] = np.where(world.manifest.image_id == "i0_0", 2012, 2018)
    assert world.check(strata=["year"])[0].startswith("year '2012' is absent from fold 1, 2")


def test_all_leaks_are_listed_at_once(world: World) -> None:
    world.plant("group", "same", "i0_0", "i2_1")
    world.plant("digest", "copied", "i1_0", "i3_0")
    with pytest.raises(InputError, match=r"2 problem\(s\)(?s:.)*'same'(?s:.)*identical files"):
        world.check()

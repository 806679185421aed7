import numpy as np
import pandas as pd
import pytest

from tessera.data.folds import check_folds, split_depth, split_images
from tessera.data.parts import part_ids, summarize
from tessera.errors import InputError


def _manifest(groups: int = 6, each: int = 2, test: int = 2, depth: int = 5) -> pd.DataFrame:
    """`each` images a group, strata in turn, and test images of their own groups."""
    rows = [
        (f"i{g}_{n}", "train" if g < groups else "test", f"g{g}", "ab"[g % 2], 30 + g, 20, depth, f"d{g}_{n}")
        for g in range(groups + test)
        for n in range(each)
    ]
    names = ["image_id", "subset", "group", "stratum", "height", "width", "depth", "digest"]
    return pd.DataFrame(rows, columns=names)


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_split_holds_every_training_image_once_and_no_group_twice(count: int, seed: int) -> None:
    manifest = _manifest(groups=11)
    parts = split_images(manifest, count, seed)
    train = manifest[manifest.subset == "train"]
    assert sorted(parts.image_id) == sorted(train.image_id)
    assert set(parts.fold) == set(range(count))
    joined = parts.merge(manifest, on="image_id")
    assert (joined.groupby("group").fold.nunique() == 1).all()
    assert ((joined.z0 == 0) & (joined.z1 == joined.depth) & (joined.y1 == joined.height)).all()
    check_folds(parts, manifest, count, "image")


def test_strata_are_spread_evenly() -> None:
    manifest = _manifest(groups=12)
    joined = split_images(manifest, 3, 0).merge(manifest, on="image_id")
    assert set(joined.groupby(["fold", "stratum"]).size()) == {4}


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_rows() -> None:
    manifest = _manifest(groups=11)
    first = split_images(manifest, 3, 0)
    pd.testing.assert_frame_equal(first, split_images(manifest.sample(frac=1, random_state=1), 3, 0))
    assert not first.equals(split_images(manifest, 3, 1))


def test_fewer_groups_than_folds_are_refused() -> None:
    with pytest.raises(InputError, match=r"fold.count is 3, but there are 2 groups"):
        split_images(_manifest(groups=2), 3, 0)


def test_strata_rarer_than_folds_do_not_stop_the_split() -> None:
    manifest = _manifest(groups=4, each=1).assign(stratum=list("abcdef"))  # as many strata as images
    assert set(split_images(manifest, 3, 0).fold) == {0, 1, 2}


@pytest.mark.parametrize("count", [2, 3, 5])
def test_blocks_cover_each_volume_once_in_order(count: int) -> None:
    manifest = _manifest(groups=2, depth=7)
    parts = split_depth(manifest, count)
    check_folds(parts, manifest, count, "part")
    for _, blocks in parts.groupby("image_id"):
        assert [z for block in blocks.itertuples() for z in range(block.z0, block.z1)] == list(range(7))
        assert blocks.fold.tolist() == list(range(count))
        assert max(blocks.z1 - blocks.z0) - min(blocks.z1 - blocks.z0) <= 1


def test_a_volume_thinner_than_the_blocks_is_named() -> None:
    with pytest.raises(InputError, match="'i0_0' has 2 slices for 3 blocks"):
        split_depth(_manifest(depth=2), 3)


def test_a_part_is_named_by_its_image_or_its_slices() -> None:
    manifest = _manifest(groups=2, depth=4)
    assert part_ids(split_images(manifest, 2, 0)) == ["i0_0", "i0_1", "i1_0", "i1_1"]
    assert part_ids(split_depth(manifest.head(1), 2)) == ["i0_0@0-2", "i0_0@2-4"]


def _plant(column: str, value: str, *images: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Parts of three folds, and a manifest where the images then share a value."""
    manifest = _manifest(groups=3, each=3)
    parts = split_images(manifest, 3, 0)
    manifest.loc[manifest.image_id.isin(images), column] = value
    return parts, manifest


@pytest.mark.parametrize("column", ["group", "digest"])
def test_a_value_in_two_folds_is_a_leak_that_names_both_images(column: str) -> None:
    parts, manifest = _plant(column, "same", "i0_0", "i2_1")
    with pytest.raises(InputError) as error:
        check_folds(parts, manifest, 3, "image")
    folds = parts.set_index("image_id").fold
    for piece in (f"{column} 'same'", f"fold {folds['i0_0']} (image i0_0)", f"fold {folds['i2_1']} (image i2_1)"):
        assert piece in str(error.value)


@pytest.mark.parametrize("unit", ["image", "part"])
@pytest.mark.parametrize("column", ["group", "digest"])
def test_a_value_in_train_and_test_is_a_leak_that_names_both_images(column: str, unit: str) -> None:
    parts, manifest = _plant(column, "same", "i1_1", "i4_0")
    with pytest.raises(InputError, match=rf"{column} 'same' is in train \(i1_1\) and in test \(i4_0\)"):
        check_folds(parts, manifest, 3, unit)


def test_an_empty_fold_is_named() -> None:
    manifest = _manifest(groups=3, each=3)
    parts = split_images(manifest, 3, 0)
    with pytest.raises(InputError, match="fold 1 is empty"):
        check_folds(parts[parts.fold != 1], manifest, 3, "image")


def test_all_leaks_are_listed_at_once() -> None:
    parts, manifest = _plant("group", "same", "i0_0", "i2_1")
    manifest.loc[manifest.image_id.isin(["i1_0", "i3_0"]), "digest"] = "copied"
    with pytest.raises(InputError, match=r"2 problem\(s\)(?s:.)*'same'(?s:.)*'copied'"):
        check_folds(parts, manifest, 3, "image")


def test_the_summary_counts_what_each_fold_holds() -> None:
    manifest = _manifest(groups=3, depth=4)
    parts = split_depth(manifest, 2)
    rng = np.random.default_rng(0)
    patches = pd.DataFrame(
        [(name, z, 0, 0, rng.random(), rng.random()) for name in manifest.image_id for z in range(4)],
        columns=["image_id", "z", "y", "x", "valid_fraction", "positive_fraction"],
    )
    patches = patches[patches.image_id.isin(parts.image_id)]
    for fold, said in enumerate(summarize(parts, manifest, patches, 2)):
        mine = patches[(patches.z // 2) == fold]
        assert (said["images"], said["groups"], said["slices"], said["patches"]) == (6, 3, 12, 12)
        assert said["strata"] == {"a": 4, "b": 2}
        expected = np.average(mine.positive_fraction, weights=mine.valid_fraction)
        assert said["positive_share"] == pytest.approx(expected)

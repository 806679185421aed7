from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.data.boxes import BOUNDS, BOX
from tessera.data.makers.build import MAKERS, make_folds
from tessera.data.parts import part_ids
from tessera.errors import InputError
from tessera.params.data import Data
from tessera.params.fold import FOLD_MAKERS, Fold

NO_PATCHES = pd.DataFrame(columns=[*BOX, "valid_fraction", "positive_fraction"])


def _manifest(groups: int = 6, each: int = 2, test: int = 2, depth: int = 5) -> pd.DataFrame:
    """`each` images a group, strata and domains in turn, and test images of their own groups."""
    rows = [
        (f"i{g}_{n}", "train" if g < groups else "test", f"g{g}", "ab"[g % 2], "xyz"[g % 3], 30 + g, 20, depth)
        for g in range(groups + test)
        for n in range(each)
    ]
    names = ["image_id", "subset", "group", "stratum", "domain", "height", "width", "depth"]
    return pd.DataFrame(rows, columns=names)


def _fold(unit: str = "image", count: int = 3, **changes: object) -> Fold:
    return Fold(**{"unit": unit, "count": count, "run": [0], "buffer": 0, "seed": 0} | changes)


def _make(
    manifest: pd.DataFrame,
    fold: Fold,
    patches: pd.DataFrame = NO_PATCHES,
    source: Path = Path(),
    dropped: list[str] = (),
    **said: object,
) -> pd.DataFrame:
    data = Data(
        source=str(source), task="binary", classes=["a"], channels="grey", train_images="{image_id}.png",
        train_masks="m/{image_id}.png", solution=None, **said,
    )  # fmt: skip
    return make_folds(manifest, patches, fold, data, dropped)


def _patches(manifest: pd.DataFrame, share: np.ndarray) -> pd.DataFrame:
    """A patch an image, as large as the image, with this positive share."""
    boxes = pd.DataFrame(
        {"image_id": manifest.image_id, "z0": 0, "z1": 1, "y0": 0, "y1": manifest.height, "x0": 0, "x1": manifest.width}
    )
    return boxes.assign(valid_fraction=1.0, positive_fraction=share)


def test_the_schema_and_the_table_name_the_same_makers() -> None:
    assert set(MAKERS) == set(FOLD_MAKERS), (
        "MAKERS in tessera/data/makers/build.py, FOLD_MAKERS in tessera/params/fold.py"
    )


# Whole images


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_split_holds_every_training_image_once_and_no_group_twice(count: int, seed: int) -> None:
    manifest = _manifest(groups=11)
    parts = _make(manifest, _fold(count=count, seed=seed))
    train = manifest[manifest.subset == "train"]
    assert sorted(parts.image_id) == sorted(train.image_id)
    assert set(parts.fold) == set(range(count))
    joined = parts.merge(manifest, on="image_id")
    assert (joined.groupby("group").fold.nunique() == 1).all()
    assert ((joined.z0 == 0) & (joined.z1 == joined.depth) & (joined.y1 == joined.height)).all()


def test_strata_are_spread_evenly() -> None:
    manifest = _manifest(groups=12)
    joined = _make(manifest, _fold()).merge(manifest, on="image_id")
    assert set(joined.groupby(["fold", "stratum"]).size()) == {4}


def test_several_strata_are_spread_evenly_together() -> None:
    manifest = _manifest(groups=18)
    joined = _make(manifest, _fold(strata=["stratum", "domain"])).merge(manifest, on="image_id")
    assert set(joined.groupby(["fold", "stratum", "domain"]).size()) == {2}


@pytest.mark.parametrize("maker", [{}, {"maker": "domains"}])
def test_a_stratum_that_is_no_column_is_named(maker: dict) -> None:
    with pytest.raises(InputError, match="fold.strata: the manifest has no column 'organ'; it has image_id"):
        _make(_manifest(), _fold(strata=["organ"], **maker))


def test_a_combination_that_is_too_rare_counts_by_its_first_stratum() -> None:
    manifest = _manifest(groups=12, each=1).assign(own=[f"o{n}" for n in range(14)])  # each image its own stratum
    joined = _make(manifest, _fold(strata=["stratum", "own"])).merge(manifest, on="image_id")
    assert set(joined.groupby(["fold", "stratum"]).size()) == {2}


def test_the_positive_share_is_spread_evenly() -> None:
    manifest = _manifest(groups=12, each=1, test=0)
    patches = _patches(manifest, np.repeat([0.1, 0.2, 0.3, 0.4], 3))
    parts = _make(manifest, _fold(strata=[], positive_bins=4), patches)
    share = patches.set_index("image_id").positive_fraction
    for fold in range(3):
        assert sorted(share[parts.image_id[parts.fold == fold]]) == [0.1, 0.2, 0.3, 0.4]


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_rows() -> None:
    manifest = _manifest(groups=11)
    first = _make(manifest, _fold())
    pd.testing.assert_frame_equal(first, _make(manifest.sample(frac=1, random_state=1), _fold()))
    assert not first.equals(_make(manifest, _fold(seed=1)))


def test_fewer_groups_than_folds_are_refused() -> None:
    with pytest.raises(InputError, match=r"fold.count is 3, but there are 2 groups"):
        _make(_manifest(groups=2), _fold())


def test_strata_rarer_than_folds_do_not_stop_the_split() -> None:
    manifest = _manifest(groups=4, each=1).assign(stratum=list("abcdef"))  # as many strata as images
    assert set(_make(manifest, _fold()).fold) == {0, 1, 2}


def test_a_fold_is_a_domain() -> None:
    manifest = _manifest()
    joined = _make(manifest, _fold(maker="domains")).merge(manifest, on="image_id")
    assert set(zip(joined.fold, joined.domain, strict=True)) == {(0, "x"), (1, "y"), (2, "z")}


def test_domains_must_be_known_and_as_many_as_folds() -> None:
    with pytest.raises(InputError, match=r"fold.count is 2, but there are 3 domains \(x, y, z\); set fold.count: 3"):
        _make(_manifest(), _fold(count=2, maker="domains"))
    with pytest.raises(InputError, match="image 'i0_0' and 11 more have no domain"):
        _make(_manifest().assign(domain=""), _fold(maker="domains"))


def test_own_folds_are_read_from_a_csv_or_a_column(tmp_path: Path) -> None:
    manifest = _manifest(groups=3, each=1)
    (tmp_path / "own.csv").write_text("id,fold\ni2_0,0\ni0_0,1\ni1_0,2\n")
    manifest["mine"] = ["1", "2", "0", "", ""]
    for given in ("own.csv", "mine"):
        parts = _make(manifest, _fold(maker="given", given=given), source=tmp_path)
        assert dict(zip(parts.image_id, parts.fold, strict=True)) == {"i0_0": 1, "i1_0": 2, "i2_0": 0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,fold\ni0_0,1\ni1_0,2\n", "training image 'i2_0' has no row"),
        ("id,fold\ni0_0,1\ni1_0,2\ni2_0,0\nq,1\n", "id 'q' is no training image; remove its row"),
        ("id,fold\ni0_0,1\ni1_0,2\ni2_0,0\ni2_0,1\n", "id 'i2_0' has a second row"),
        ("id,fold\ni0_0,1\ni1_0,3\ni2_0,0\n", "image 'i1_0' has '3'"),
        ("id,fold\ni0_0,1\ni1_0,\ni2_0,0\n", "image 'i1_0' has ''"),
        ("id,part\ni0_0,1\n", "has no column 'fold'; its columns are id, part"),
        ("image,fold\ni0_0,1\n", "has no column 'id' (data.id); its columns are image, fold"),
    ],
)
def test_wrong_own_folds_are_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "own.csv").write_text(text)
    with pytest.raises(InputError, match=r"own\.csv") as error:
        _make(_manifest(groups=3, each=1), _fold(maker="given", given="own.csv"), source=tmp_path)
    assert said in str(error.value)


def test_own_folds_may_name_images_that_were_cleaned_out(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("id,fold\ni2_0,0\ni0_0,1\ni1_0,2\ngone,0\n")
    fold = _fold(maker="given", given="own.csv")
    parts = _make(_manifest(groups=3, each=1), fold, source=tmp_path, dropped=["gone"])
    assert parts.image_id.tolist() == ["i0_0", "i1_0", "i2_0"]


def test_ids_of_own_folds_have_the_ending_of_every_csv(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("image,fold\ni2_0.tif,0\ni0_0.tif,1\ni1_0.tif,2\ngone.tif,0\n")
    fold, said = _fold(maker="given", given="own.csv"), {"id": "image", "id_ending": ".tif"}
    parts = _make(_manifest(groups=3, each=1), fold, source=tmp_path, dropped=["gone"], **said)
    assert dict(zip(parts.image_id, parts.fold, strict=True)) == {"i0_0": 1, "i1_0": 2, "i2_0": 0}


def test_folds_that_were_written_down_stay_when_an_image_is_cleaned_out(tmp_path: Path) -> None:
    manifest = _manifest(groups=11)
    made = _make(manifest, _fold())
    made[["image_id", "fold"]].rename(columns={"image_id": "id"}).to_csv(tmp_path / "kept.csv", index=False)
    given = _fold(maker="given", given="kept.csv")
    pd.testing.assert_frame_equal(_make(manifest, given, source=tmp_path), made)
    left = _make(manifest[manifest.image_id != "i0_0"], given, source=tmp_path, dropped=["i0_0"])
    pd.testing.assert_frame_equal(left, made[made.image_id != "i0_0"].reset_index(drop=True))


def test_a_column_of_own_folds_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="fold.given: the manifest has no column 'mine'; it has image_id"):
        _make(_manifest(), _fold(maker="given", given="mine"))


# Parts


def _paint(parts: pd.DataFrame, image: pd.Series) -> np.ndarray:
    """How many parts cover each voxel of an image."""
    voxels = np.zeros((image.depth, image.height, image.width), int)
    for part in parts[parts.image_id == image.image_id].itertuples():
        voxels[part.z0 : part.z1, part.y0 : part.y1, part.x0 : part.x1] += 1
    return voxels


@pytest.mark.parametrize("maker", [{}, {"maker": "strips"}, {"maker": "blocks", "blocks": (3, 2)}], ids=str)
@pytest.mark.parametrize("count", [2, 3, 5])
def test_parts_cover_every_image_once(maker: dict, count: int) -> None:
    manifest = _manifest(groups=2, depth=7)
    parts = _make(manifest, _fold("part", count, **maker))
    assert set(parts.fold) == set(range(count))
    assert len(set(part_ids(parts))) == len(parts)
    for image in manifest[manifest.subset == "train"].itertuples():
        assert (_paint(parts, image) == 1).all()


@pytest.mark.parametrize("count", [2, 3, 5])
def test_z_blocks_are_in_order_and_of_equal_depth(count: int) -> None:
    for _, blocks in _make(_manifest(groups=2, depth=7), _fold("part", count)).groupby("image_id"):
        assert [z for block in blocks.itertuples() for z in range(block.z0, block.z1)] == list(range(7))
        assert blocks.fold.tolist() == list(range(count))
        assert max(blocks.z1 - blocks.z0) - min(blocks.z1 - blocks.z0) <= 1


def test_a_volume_thinner_than_the_blocks_is_named() -> None:
    with pytest.raises(InputError, match="'i0_0' has 2 slices for 3 blocks"):
        _make(_manifest(depth=2), _fold("part"))


def test_strips_cut_the_longer_side() -> None:
    manifest = pd.DataFrame(
        [("tall", "train", 90, 60, 4), ("wide", "train", 10, 31, 1)],
        columns=["image_id", "subset", "height", "width", "depth"],
    ).assign(stratum="")
    parts = _make(manifest, _fold("part", maker="strips")).set_index(["image_id", "fold"])[BOUNDS]
    assert parts.loc["tall"].to_numpy().tolist() == [[0, 4, y, y + 30, 0, 60] for y in (0, 30, 60)]
    assert parts.loc["wide"].to_numpy().tolist() == [[0, 1, 0, 10, *x] for x in ((0, 10), (10, 20), (20, 31))]


def test_blocks_share_positives_evenly() -> None:
    manifest = _manifest(groups=1, each=1, depth=1).assign(height=60, width=60)
    cells = [("i0_0", 0, 1, y, y + 10, x, x + 10) for y in range(0, 60, 10) for x in range(0, 60, 10)]
    patches = pd.DataFrame(cells, columns=BOX).assign(valid_fraction=1.0)
    patches["positive_fraction"] = np.where(patches.y0 == 0, 0.6, 0.0)  # the upper row of six blocks
    parts = _make(manifest, _fold("part", maker="blocks", blocks=(6, 6)), patches)
    assert parts.fold.value_counts().tolist() == [12, 12, 12]
    assert parts[parts.y0 == 0].fold.value_counts().tolist() == [2, 2, 2]
    assert not parts.equals(_make(manifest, _fold("part", maker="blocks", blocks=(6, 6), seed=1), patches))


def test_fewer_blocks_than_folds_are_refused() -> None:
    with pytest.raises(InputError, match=r"fold.blocks 1 × 2 makes 2 blocks of 1 image\(s\), fewer than fold.count 3"):
        _make(_manifest(groups=1, each=1), _fold("part", maker="blocks", blocks=(1, 2)))

"""HuBMAP + HPA 2022 in small: tiled RGB TIFFs of several pixel sizes, RLE rows by column, organs, no patients."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import tifffile

from tessera.errors import InputError

RECIPE = "hubmap"
SMALL = {"tile": {"size": 16, "stride": 8, "keep_empty": 1.0}}
TRAIN = [(f"{number}", ("kidney", "lung")[number % 2]) for number in range(100, 110)]  # five of each organ
TEST = [("200", "lung", 0.8, (30, 24)), ("201", "kidney", 1.2, (20, 17))]  # id, organ, µm a px, size
SIZE = (90, 60)  # px of a training image, 0.4 µm each: 30×20 at the recipe's 1.2 µm
BOX = (30, 60, 0, 30)  # the unit in each: rows 30…59, columns 0…29


def _picture(size: tuple[int, int], seed: int) -> np.ndarray:
    """Squares of 3 px in random colours: of the same mean, whatever they are brought to."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (-(-size[0] // 3), -(-size[1] // 3), 3), np.uint8)
    return np.kron(coarse, np.ones((3, 3, 1), np.uint8))[: size[0], : size[1]]


def write_competition(source: Path) -> None:
    (source / "train_images").mkdir()
    (source / "test_images").mkdir()
    y0, y1, x0, x1 = BOX
    box = " ".join(f"{x * SIZE[0] + y0 + 1} {y1 - y0}" for x in range(x0, x1))
    rows = {"train": [], "test": []}
    for number, (name, organ, size, pixel_size) in enumerate(
        [(*row, SIZE, 0.4) for row in TRAIN] + [(name, organ, size, um) for name, organ, um, size in TEST]
    ):
        subset = "train" if pixel_size == 0.4 else "test"
        path = source / f"{subset}_images/{name}.tiff"
        tifffile.imwrite(path, _picture(size, number), photometric="rgb", tile=(32, 32), compression="zlib")
        about = (name, organ, "HPA" if subset == "train" else "Hubmap", *size, pixel_size, 4)
        rows[subset].append((*about, box, 60.0, "Male") if subset == "train" else about)
    names = ["id", "organ", "data_source", "img_height", "img_width", "pixel_size", "tissue_thickness"]
    pd.DataFrame(rows["train"], columns=[*names, "rle", "age", "sex"]).to_csv(source / "train.csv", index=False)
    pd.DataFrame(rows["test"], columns=names).to_csv(source / "test.csv", index=False)
    (source / "sample_submission.csv").write_text("id,rle\n201,\n200,\n")


def test_the_manifest_says_organ_source_and_size_of_each_image(run: NamedTuple) -> None:
    manifest = run.manifest
    assert manifest.index.tolist() == [name for name, *_ in TRAIN + TEST]
    assert manifest.subset.value_counts().to_dict() == {"train": 10, "test": 2}
    assert manifest.group.tolist() == manifest.index.tolist()
    assert manifest.loc[["100", "101", "200"], "stratum"].tolist() == ["kidney", "lung", "lung"]
    assert manifest.domain.unique().tolist() == ["HPA", "Hubmap"]
    assert manifest.loc["101", ["height", "width", "depth", "channels"]].tolist() == [90, 60, 1, 3]
    assert (manifest.image["101"], manifest.label["101"]) == ("train_images/101.tiff", "train.csv")
    assert manifest.pixel_size.unique().tolist() == [0.4, 0.8, 1.2]


def test_all_images_come_to_one_pixel_size(run: NamedTuple) -> None:
    store = run.store
    assert [store.shape(name) for name in ("100", "200", "201")] == [(1, 30, 20), (1, 20, 16), (1, 20, 17)]
    np.testing.assert_array_equal(store.read_window("100", 0, 0, 0, 30, 20), _picture(SIZE, 0)[::3, ::3])
    np.testing.assert_array_equal(store.read_window("201", 0, 0, 0, 20, 17), _picture((20, 17), 11))


def test_patches_know_their_share_of_the_unit(run: NamedTuple) -> None:
    patches = run.patches.set_index("image_id")
    assert len(patches) == 10 * 6
    unit = {(0, 0): 6 * 10, (0, 4): 6 * 6, (8, 0): 10 * 10, (8, 4): 10 * 6, (14, 0): 6 * 10, (14, 4): 6 * 6}
    for name, _ in TRAIN:
        mine = patches.loc[name]
        assert set(mine.valid_fraction) == {1.0}
        assert {(row.y, row.x): row.positive_fraction * 16 * 16 for row in mine.itertuples()} == unit


def test_each_fold_holds_an_image_of_each_organ(run: NamedTuple) -> None:
    parts = run.parts
    assert parts[["z0", "z1", "y0", "y1", "x0", "x1"]].drop_duplicates().to_numpy().tolist() == [[0, 1, 0, 90, 0, 60]]
    organs = parts.image_id.map(dict(TRAIN))
    assert organs.groupby(parts.fold).agg(sorted).tolist() == [["kidney", "lung"]] * 5


def test_the_template_keeps_its_order_and_thresholds_are_an_organ_s(run: NamedTuple) -> None:
    assert run.template.to_dict("list") == {"id": ["201", "200"], "rle": ["", ""]}
    test = run.manifest[run.manifest.subset == "test"]
    assert run.params.tune.thresholds == "per_stratum"
    assert set(test.stratum) <= set(run.manifest.stratum[run.manifest.subset == "train"])


def test_a_brighter_copy_in_another_fold_is_refused(prepare: Callable) -> None:
    def copy(source: Path) -> None:
        brighter = (_picture(SIZE, 0) * 0.8 + 40).astype(np.uint8)
        tifffile.imwrite(source / "train_images/102.tiff", brighter, photometric="rgb", tile=(32, 32))

    with pytest.raises(InputError, match=r"100 \(fold \d\) and 102 \(fold \d\) look alike"):
        prepare(copy)

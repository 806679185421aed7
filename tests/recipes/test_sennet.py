"""SenNet + HOA 2024 in small: volumes of 16-bit TIFF slices, label files, two volumes of one kidney, no metadata."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tifffile

from tessera.errors import InputError

RECIPE = "sennet"
SMALL = {"tile": {"size": 16, "stride": 16, "keep_empty": 1.0}}
TRAIN = {
    "kidney_1_dense": (5, 40, 24),
    "kidney_1_voi": (4, 24, 40),
    "kidney_2": (6, 33, 20),
    "kidney_3_sparse": (4, 20, 20),
}
TEST = {"kidney_5": (3, 31, 17), "kidney_6": (3, 17, 31)}
GROUPS = {
    "kidney_1_dense": "kidney_1",
    "kidney_1_voi": "kidney_1",
    "kidney_2": "kidney_2",
    "kidney_3_sparse": "kidney_3",
}


def _volume(shape: tuple[int, int, int], number: int) -> np.ndarray:
    """Noise; every volume has values of its own range, as another scan has."""
    return np.random.default_rng(number).integers(1000 * number, 1000 * number + 500, shape).astype(np.uint16)


def _labels(shape: tuple[int, int, int]) -> np.ndarray:
    """A vessel through all slices, of which slice z shows z + 1 rows of 10 px."""
    labels = np.zeros(shape, np.uint8)
    for z in range(shape[0]):
        labels[z, 2 : 3 + z, 4:14] = 255
    return labels


def _write(folder: Path, volume: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for z, pixels in enumerate(volume):
        tifffile.imwrite(folder / f"{z:04d}.tif", pixels)


def write_competition(source: Path) -> None:
    for number, (name, shape) in enumerate([*TRAIN.items(), *TEST.items()], 1):
        subset = "train" if name in TRAIN else "test"
        _write(source / subset / name / "images", _volume(shape, number))
        if name in TRAIN:
            _write(source / subset / name / "labels", _labels(shape))
    kidneys = [*GROUPS.items(), *((name, name) for name in TEST)]
    (source / "kidneys.csv").write_text("id,kidney\n" + "".join(f"{name},{kidney}\n" for name, kidney in kidneys))
    rows = [f"{name}_{z:04d},1 0\n" for name in TEST for z in range(3)]
    (source / "sample_submission.csv").write_text("id,rle\n" + "".join(rows))


def test_the_manifest_has_a_row_a_volume(run: NamedTuple) -> None:
    assert run.manifest.index.tolist() == [*TRAIN, *TEST]
    for name, shape in (TRAIN | TEST).items():
        row = run.manifest.loc[name]
        assert (row.depth, row.height, row.width, row.channels) == (*shape, 1)
        assert row.slices == "/".join(f"{z:04d}" for z in range(shape[0]))
        assert row.group == GROUPS.get(name, name)
    assert run.manifest.label["kidney_2"] == "train/kidney_2/labels/{slice}.tif"
    assert run.template.id.tolist() == [f"{name}_{z:04d}" for name in TEST for z in range(3)]
    assert set(run.template.rle) == {"1 0"}


def test_each_volume_is_brought_to_8_bit_by_itself(run: NamedTuple) -> None:
    store = run.store
    for number, (name, shape) in enumerate(TRAIN.items(), 1):
        volume = _volume(shape, number).astype(float)
        pixels = store.file[name]["pixels"][..., 0]
        black, white = np.percentile(volume, (0.5, 99.5), method="inverted_cdf")
        expected = np.clip((volume - black) / (white - black), 0, 1) * 255
        assert np.abs(pixels - expected).max() <= 0.51
        np.testing.assert_array_equal(store.file[name]["labels"][:], _labels(shape) // 255)


def test_patches_are_those_of_each_slice(run: NamedTuple) -> None:
    patches = run.patches.set_index("image_id")
    grids = {"kidney_1_dense": 3 * 2, "kidney_1_voi": 2 * 3, "kidney_2": 3 * 2, "kidney_3_sparse": 2 * 2}
    assert patches.groupby("image_id").size().to_dict() == {name: TRAIN[name][0] * n for name, n in grids.items()}
    corner = patches.loc["kidney_2"].query("y == 0 and x == 0").set_index("z").positive_fraction
    assert (corner * 256).to_dict() == {z: 10 * (z + 1) for z in range(6)}


def test_a_fold_is_a_kidney(run: NamedTuple) -> None:
    parts = run.parts.set_index("image_id")
    assert sorted(parts.fold[["kidney_1_dense", "kidney_2", "kidney_3_sparse"]]) == [0, 1, 2]
    assert parts.fold["kidney_1_voi"] == parts.fold["kidney_1_dense"]
    assert parts.loc["kidney_2", ["z0", "z1", "y0", "y1", "x0", "x1"]].tolist() == [0, 6, 0, 33, 0, 20]


def test_one_kidney_is_cut_into_blocks_of_slices(prepare: Callable) -> None:
    parts = prepare(fold={"unit": "part", "buffer": 1}).parts
    kidney = parts[parts.image_id == "kidney_2"]
    assert kidney[["z0", "z1", "fold"]].to_numpy().tolist() == [[0, 2, 0], [2, 4, 1], [4, 6, 2]]


def test_labels_without_images_are_named(prepare: Callable) -> None:
    with pytest.raises(InputError, match=r"train/kidney_3_dense/labels/0000\.tif: this mask has no image"):
        prepare(lambda source: _write(source / "train/kidney_3_dense/labels", _labels((2, 20, 20))))


def test_a_volume_whose_kidney_is_not_said_is_named(prepare: Callable) -> None:
    def forget(source: Path) -> None:
        kidneys = source / "kidneys.csv"
        kidneys.write_text(kidneys.read_text().replace("kidney_1_voi,kidney_1\n", ""))

    with pytest.raises(InputError, match=r"kidneys\.csv: no row for image 'kidney_1_voi'"):
        prepare(forget)

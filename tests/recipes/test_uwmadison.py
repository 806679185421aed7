"""recipes/uwmadison.yaml on generated data of the competition's shape: three classes from images to a submission."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from closure import ROOT
from repository import inside, run_stages

from tessera import paths, rle
from tessera.data.manifest import read_manifest

CLASSES = ["large_bowel", "small_bowel", "stomach"]
SIZES = {0: (48, 64), 1: (64, 56)}  # by the parity of a case
SOURCE = Path("data/raw/uwmadison")


def write_competition() -> dict[str, np.ndarray]:
    """Six cases with one or two days of three slices, two more to predict; returns id → planes (K, H, W)."""
    rng = np.random.default_rng(0)
    truth, rows, asked = {}, [], []
    for case in range(1, 9):
        subset = "train" if case <= 6 else "test"
        height, width = SIZES[case % 2]
        for day in range(1 + case % 2):
            name = f"case{case}_day{day * 20}"
            folder = SOURCE / subset / f"case{case}" / name / "scans"
            folder.mkdir(parents=True)
            for z in range(1, 4):
                planes = np.zeros((3, height, width), np.uint8)
                planes[0, 8:30, 6:30] = 1
                planes[1, 20:40, 20:44] = 1  # overlaps the first
                planes[2, 40:46, 4:12] = z > 1  # stomach is absent from the first slice
                image = 2000 + 6000 * planes.sum(0) + rng.integers(0, 900, (height, width))
                path = folder / f"slice_{z:04d}_{width}_{height}_1.50_1.50.png"
                cv2.imwrite(str(path), image.astype(np.uint16))
                row_id = f"{name}_slice_{z:04d}"
                if subset == "train":
                    truth[row_id] = planes
                    rows += [(row_id, c, rle.encode(plane, "row")) for c, plane in zip(CLASSES, planes, strict=True)]
                else:
                    asked += [(row_id, c, "") for c in CLASSES]
    pd.DataFrame(rows, columns=["id", "class", "segmentation"]).to_csv(SOURCE / "train.csv", index=False)
    pd.DataFrame(asked, columns=["id", "class", "predicted"]).to_csv(SOURCE / "sample_submission.csv", index=False)
    return truth


def shrink(params: dict) -> dict:
    """The shipped recipe for a CPU and a minute: three folds, one tiny network, a few windows."""
    tiny = {
        "encoder": "tu-test_resnet.r160_in1k", "weights": None, "arguments": {"decoder_channels": [16, 16, 8, 8, 8]},
        "size": 32, "slices": 3, "epochs": 2, "patches": 24, "batch": 6, "validate_every": 2, "lr": 1e-2, "ema": 0,
    }  # fmt: skip
    params["models"]["unet_25d"] |= tiny
    params["tile"] |= {"size": 32, "stride": 32}
    params["fold"] |= {"count": 3, "run": [0, 1, 2]}
    params["train"]["amp"] = "none"
    params["predict"]["window"] = 64
    params["tune"] |= {"bootstrap": 100}
    return params


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("uwmadison")
    params = shrink(yaml.safe_load((ROOT / "recipes/uwmadison.yaml").read_text()))
    with inside(folder, params):
        truth = write_competition()
        run_stages(params)
    return folder, truth


@pytest.fixture
def truth(finished: tuple) -> Iterator[dict[str, np.ndarray]]:
    folder, truth = finished
    with inside(folder):
        yield truth


def test_the_manifest_reads_case_day_and_slices_from_the_names(truth: dict) -> None:
    manifest = read_manifest(paths.MANIFEST).set_index("image_id")
    assert sorted(manifest.index[manifest.subset == "test"]) == ["case7_day0", "case7_day20", "case8_day0"]
    row = manifest.loc["case3_day20"]
    assert (row.group, row.height, row.width, row.depth, row.channels) == ("case3", 64, 56, 3, 1)
    assert row.slices == "slice_0001/slice_0002/slice_0003"


def test_every_class_is_stored_as_it_was_said(truth: dict) -> None:
    with h5py.File(paths.TILES) as file:
        for row_id, planes in truth.items():
            name, number = row_id.split("_slice_")
            np.testing.assert_array_equal(np.moveaxis(file[name]["labels"][int(number) - 1], -1, 0), planes)


def test_patches_know_the_share_of_every_class(truth: dict) -> None:
    patches = pd.read_parquet(paths.PATCHES)
    shares = [f"positive_{name}" for name in CLASSES]
    assert list(patches.columns[-3:]) == shares
    first = patches.query("image_id == 'case2_day0' and z == 0 and y == 0 and x == 0").iloc[0]
    assert first[shares].tolist() == [22 * 24 / 1024, 12 * 12 / 1024, 0]
    assert first.positive_fraction == (22 * 24 + 12 * 12 - 10 * 10) / 1024


def test_no_case_is_in_two_folds(truth: dict) -> None:
    folds = pd.read_csv(paths.FOLDS)
    cases = folds.image_id.str.split("_").str[0]
    assert folds.groupby(cases).fold.nunique().max() == 1
    assert set(folds.fold) == {0, 1, 2}


def test_the_submission_has_a_row_a_class_in_the_asked_order(truth: dict) -> None:
    wanted, found = pd.read_csv(SOURCE / "sample_submission.csv"), pd.read_csv(paths.SUBMISSION)
    pd.testing.assert_frame_equal(found[["id", "class"]], wanted[["id", "class"]])
    assert list(found.columns) == ["id", "class", "predicted"]
    assert found.predicted.notna().any()

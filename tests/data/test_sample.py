from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from tessera import rle
from tessera.data.sample import write_sample

SMALL = {"patients": 6, "test_patients": 2, "volumes": 1, "slices": 3, "seed": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("sample") / "made" / "on_demand"
    write_sample(target, **SMALL)
    return target


def _table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False)


def _images(folder: Path) -> dict[str, np.ndarray]:
    """Slice id to image, in the order of the names."""
    paths = sorted(folder.glob("*/*.tif"))
    return {f"{path.parent.name}_{path.stem}": tifffile.imread(path) for path in paths}


def _masks(table: pd.DataFrame, images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {row.id: rle.decode(row.rle, images[row.id].shape) for row in table.itertuples()}


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_same_seed_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_sample(tmp_path, **SMALL)
    assert _contents(tmp_path) == _contents(folder)


def test_another_seed_gives_another_competition(folder: Path, tmp_path: Path) -> None:
    write_sample(tmp_path, **SMALL | {"seed": 1})
    assert _contents(tmp_path)["train.csv"] != _contents(folder)["train.csv"]


def test_more_patients_leave_the_earlier_ones_alone(folder: Path, tmp_path: Path) -> None:
    write_sample(tmp_path, **SMALL | {"patients": 8, "test_patients": 0})
    kept = tmp_path / "train_images" / "p01_v1" / "000.tif"
    assert kept.read_bytes() == (folder / "train_images" / "p01_v1" / "000.tif").read_bytes()


def test_slices_are_grey_16_bit_and_larger_than_a_crop(folder: Path) -> None:
    images = _images(folder / "train_images") | _images(folder / "test_images")
    assert len(images) == 8 * 3
    for image in images.values():
        height, width = image.shape
        assert image.dtype == np.uint16
        assert height != width
        assert min(height, width) > 128


def test_volumes_differ_in_size_and_scale(folder: Path) -> None:
    images = _images(folder / "train_images")
    firsts = [image for name, image in images.items() if name.endswith("_000")]
    spreads = [np.subtract(*np.percentile(image, [99.5, 0.5])) for image in firsts]
    assert len({image.shape for image in firsts}) == len(firsts)
    assert max(spreads) > 2 * min(spreads)


def test_tables_list_the_slices_in_order(folder: Path) -> None:
    test_ids = list(_images(folder / "test_images"))
    assert list(_table(folder / "train.csv").id) == list(_images(folder / "train_images"))
    assert list(_table(folder / "sample_submission.csv").id) == test_ids
    assert list(_table(folder / "solution.csv").id) == test_ids
    assert set(_table(folder / "sample_submission.csv").rle) == {""}


def test_both_organs_are_in_train_and_in_test(folder: Path) -> None:
    volumes = _table(folder / "volumes.csv")
    for subset in ("train_images", "test_images"):
        names = {path.name for path in (folder / subset).iterdir()}
        rows = volumes[volumes.id.isin(names)]
        assert len(rows) == len(names)
        assert set(rows.organ) == {"kidney", "liver"}
        assert rows.patient.nunique() == len(names)


@pytest.mark.parametrize(("subset", "labels"), [("train", "train.csv"), ("test", "solution.csv")])
def test_vessels_are_sparse_and_some_slices_empty(folder: Path, subset: str, labels: str) -> None:
    images = _images(folder / f"{subset}_images")
    masks = _masks(_table(folder / labels), images)
    share = np.mean(np.concatenate([mask.ravel() for mask in masks.values()]))
    assert 0.02 < share < 0.06
    assert subset == "test" or any(not mask.any() for mask in masks.values())


def test_vessels_continue_in_the_next_slice(folder: Path) -> None:
    masks = _masks(_table(folder / "train.csv"), _images(folder / "train_images"))
    first, second = masks["p02_v1_000"], masks["p02_v1_001"]
    overlap = 2 * (first & second).sum() / (first.sum() + second.sum())
    assert 0.5 < overlap < 0.95


def test_vessels_are_brighter_than_their_surroundings(folder: Path) -> None:
    images = _images(folder / "train_images")
    for name, mask in _masks(_table(folder / "train.csv"), images).items():
        if mask.any():
            assert images[name][mask > 0].mean() > images[name][mask == 0].mean()


def test_one_patient_with_one_slice_is_enough(tmp_path: Path) -> None:
    write_sample(tmp_path, patients=1, test_patients=1, volumes=2, slices=1, seed=3)
    assert set(_table(tmp_path / "volumes.csv").organ) == {"kidney", "liver"}
    assert list(_table(tmp_path / "solution.csv").id) == ["p02_v1_000", "p02_v2_000"]

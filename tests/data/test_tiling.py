from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from tessera import rle
from tessera.data.images import read_image
from tessera.data.ingest import build_manifest
from tessera.data.pixels import PixelStore, downscale, downscale_labels, working_size
from tessera.data.scaling import measure
from tessera.data.tiling import write_tiles
from tessera.params import Data, Tile

Competition = Callable[..., Data]
TILE = {"scale": 1.0, "size": 16, "stride": 8, "keep_empty": 0.5}


def _tiles(data: Data, path: Path, **changes: object) -> tuple[PixelStore, pd.DataFrame]:
    patches = write_tiles(build_manifest(data), data, Tile(**TILE | changes), path)
    return PixelStore(path), patches


@pytest.mark.parametrize("kind", ["volumes", "masks"])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_written_twice_the_bytes_are_the_same(
    competition: Competition, tmp_path: Path, kind: str, scale: float
) -> None:
    data = competition(kind)
    patches = [_tiles(data, tmp_path / name, scale=scale)[1] for name in ("one.h5", "two.h5")]
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    pd.testing.assert_frame_equal(*patches)


def test_the_digest_changes_with_files_and_params(competition: Competition, tmp_path: Path) -> None:
    data = competition("volumes")
    digests = [_tiles(data, tmp_path / "t.h5", size=size)[0].digest for size in (16, 32)]
    (Path(data.source) / "train/a/2.tif").write_bytes((Path(data.source) / "train/a/10.tif").read_bytes())
    digests.append(_tiles(data, tmp_path / "t.h5")[0].digest)
    assert len(set(digests)) == 3


def test_pixels_are_the_images_brought_to_8_bit_by_the_whole_volume(competition: Competition, tmp_path: Path) -> None:
    data = competition("volumes")
    store, _ = _tiles(data, tmp_path / "t.h5")
    for name, subset in (("a", "train"), ("t", "test")):
        slices = [read_image(Path(data.source) / subset / name / f"{z}.tif", "grey") for z in (2, 10)]
        scaling = measure(slices, (0.5, 99.5))
        np.testing.assert_array_equal(store.file[name]["pixels"][:], np.stack([scaling.apply(s) for s in slices]))


def test_8_bit_pixels_are_stored_as_they_are(competition: Competition, tmp_path: Path) -> None:
    data = competition("masks")
    store, _ = _tiles(data, tmp_path / "t.h5")
    image = read_image(Path(data.source) / "train/b.png", "rgb")
    np.testing.assert_array_equal(store.read_window("b", 0, 0, 0, 33, 20), image)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_truth_keeps_the_original_resolution(competition: Competition, tmp_path: Path, scale: float) -> None:
    volumes = competition("volumes")
    store, _ = _tiles(volumes, tmp_path / "t.h5", scale=scale)
    rows = pd.read_csv(Path(volumes.source) / "train.csv").set_index("id").rle
    np.testing.assert_array_equal(store.read_truth("b", 1), rle.decode(rows["b_10"], (33, 20)))


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_ignored_labels_are_255(competition: Competition, tmp_path: Path, scale: float) -> None:
    data = competition("masks")
    mask = np.zeros((33, 20), np.uint8)
    mask[:16], mask[20:, :8] = 2, 1
    cv2.imwrite(str(Path(data.source) / "masks/b.png"), mask)
    store, _ = _tiles(data, tmp_path / "t.h5", scale=scale)
    np.testing.assert_array_equal(store.read_truth("b", 0), np.where(mask == 2, 255, mask))
    labels = store.read_labels("b", 0, (0, 0, 99, 99))
    assert labels.shape == working_size(33, 20, scale)
    assert (labels[: round(14 * scale)] == 255).all()
    assert (labels[round(22 * scale) :, : round(6 * scale)] == 1).all()
    assert set(np.unique(labels)) == {0, 1, 255}


def test_test_images_have_no_labels_and_no_patches(competition: Competition, tmp_path: Path) -> None:
    store, patches = _tiles(competition("volumes"), tmp_path / "t.h5")
    assert set(store.file["t"]) == {"pixels"}
    assert set(patches.image_id) == {"a", "b", "c"}
    assert set(patches[patches.image_id == "a"].z) == {0, 1}


def test_patch_fractions_are_those_of_the_stored_labels(competition: Competition, tmp_path: Path) -> None:
    data = competition("masks")
    store, patches = _tiles(data, tmp_path / "t.h5", scale=0.5)
    for row in patches.itertuples():
        labels = store.read_labels(row.image_id, row.z, (row.y, row.x, 16, 16))
        assert row.valid_fraction == pytest.approx((labels != 255).mean())
        assert row.positive_fraction == pytest.approx((labels == 1).sum() / (labels != 255).sum())


@pytest.mark.parametrize("channels", [1, 3, 4, 5, 9])
def test_downscaling_averages_whole_areas_of_every_channel(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, channels), np.uint8)
    expected = pixels.reshape(6, 2, 10, 2, channels).mean((1, 3))
    np.testing.assert_allclose(downscale(pixels, (6, 10)), expected, atol=0.51)
    assert downscale(pixels, (12, 20)) is pixels


def test_a_working_label_follows_the_majority_of_its_valid_area() -> None:
    blocks = {  # four pixels → one
        (0, 0, 0, 0): 0, (1, 0, 0, 0): 0, (1, 1, 0, 0): 1, (1, 1, 1, 1): 1,
        (255, 255, 255, 255): 255, (255, 255, 255, 1): 255, (255, 255, 1, 0): 1, (255, 255, 0, 0): 0, (255, 1, 0, 0): 0,
    }  # fmt: skip
    labels = np.concatenate([np.array(block, np.uint8).reshape(2, 2) for block in blocks], axis=1)
    assert downscale_labels(labels, (1, len(blocks))).tolist() == [list(blocks.values())]


def test_a_stack_is_its_slices_clamped_at_both_ends(pixel_store: Callable[..., PixelStore]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 9, 2), np.uint8)
    store = pixel_store({"v": pixels})
    for z in range(4):
        stack = store.read_stack("v", z, 5, 2, (1, 2, 4, 5))
        for number, depth in enumerate(range(z - 4, z + 5, 2)):
            expected = pixels[min(max(depth, 0), 3), 1:5, 2:7]
            np.testing.assert_array_equal(stack[..., 2 * number : 2 * number + 2], expected)


@pytest.mark.parametrize("scale", [1.0, 0.7, 0.3])
def test_every_label_of_the_store_is_0_1_or_255(competition: Competition, tmp_path: Path, scale: float) -> None:
    store, _ = _tiles(competition("masks"), tmp_path / "t.h5", scale=scale)
    for name in "abc":
        assert set(np.unique(store.file[name]["labels"][:])) <= {0, 1, 255}

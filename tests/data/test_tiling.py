import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from reading import read_image

from tessera import rle
from tessera.data import tiling
from tessera.data.ingest import build_manifest
from tessera.data.pixels import PixelStore
from tessera.data.readers import base, tiff
from tessera.data.resampling import enlarge, working_size
from tessera.data.scaling import count, measure
from tessera.data.stacks import Stack
from tessera.data.tiling import Tiled, write_tiles
from tessera.errors import InputError
from tessera.params.data import Data
from tessera.params.tile import Tile

Competition = Callable[..., Data]
TILE = {"scale": 1.0, "size": 16, "stride": 8, "keep_empty": 0.5}


def _tiles(data: Data, path: Path, **changes: object) -> tuple[PixelStore, pd.DataFrame]:
    patches = _write(data, path, **changes).patches
    return PixelStore(path), patches


def _write(data: Data, path: Path, threads: int = 1, **changes: object) -> Tiled:
    return write_tiles(build_manifest(data), data, Tile(**TILE | changes), path, threads)


@pytest.mark.parametrize("kind", ["volumes", "masks"])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_written_twice_the_bytes_are_the_same(
    competition: Competition, tmp_path: Path, kind: str, scale: float
) -> None:
    data = competition(kind)
    patches = [_tiles(data, tmp_path / name, scale=scale)[1] for name in ("one.h5", "two.h5")]
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    pd.testing.assert_frame_equal(*patches)


def test_room_for_all_pixels_is_looked_for_first(
    competition: Competition, tmp_path: Path, free: Callable[[int], None]
) -> None:
    data = competition("masks")
    rows = build_manifest(data)
    values = (rows.height * rows.width * (3 + (rows.subset == "train"))).sum()  # RGB, and labels
    free(values - 8192)  # what is laid out takes up to two blocks
    with pytest.raises(InputError, match=r"t\.h5 cannot be saved \(the disk is nearly full\): [\d,]+ bytes are needed"):
        _write(data, tmp_path / "t.h5")
    free(values + 8192)
    _write(data, tmp_path / "t.h5")


def test_the_digest_changes_with_files_and_params(competition: Competition, tmp_path: Path) -> None:
    data = competition("volumes")
    digests = [_tiles(data, tmp_path / "t.h5", size=size)[0].digest for size in (16, 32)]
    (Path(data.source) / "train/a/2.tif").write_bytes((Path(data.source) / "train/a/10.tif").read_bytes())
    digests.append(_tiles(data, tmp_path / "t.h5")[0].digest)
    assert len(set(digests)) == 3


def test_the_digest_changes_with_labels(competition: Competition, tmp_path: Path) -> None:
    """A killed training must not go on with labels that were corrected meanwhile; the manifest does not tell."""
    data = competition("masks")
    before, manifest = _tiles(data, tmp_path / "one.h5")[0].digest, build_manifest(data)
    file = Path(data.source) / manifest.label[manifest.subset == "train"].iloc[0].split(";")[0]
    mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    mask[0, 0] = mask.max() - mask[0, 0]
    cv2.imwrite(str(file), mask)
    pd.testing.assert_frame_equal(build_manifest(data), manifest)
    assert _tiles(data, tmp_path / "two.h5")[0].digest != before


def test_the_store_knows_left_and_right(competition: Competition, tmp_path: Path) -> None:
    data = competition("volumes")
    plain = _tiles(data, tmp_path / "one.h5")[0]
    paired = _tiles(data.model_copy(update={"flip_pairs": [("l", "r")]}), tmp_path / "two.h5")[0]
    assert (plain.flip_pairs, paired.flip_pairs) == ([], [["l", "r"]])
    assert "flip_pairs" not in plain.file.attrs, "files of data without pairs stay as they were"
    assert plain.digest != paired.digest, "who trains on it trains again"


def test_pixels_are_the_images_brought_to_8_bit_by_the_whole_volume(competition: Competition, tmp_path: Path) -> None:
    data = competition("volumes")
    store, _ = _tiles(data, tmp_path / "t.h5")
    for name, subset in (("a", "train"), ("t", "test")):
        slices = [read_image(Path(data.source) / subset / name / f"{z}.tif", "grey") for z in (2, 10)]
        scaling = measure(partial(count, slices), (0.5, 99.5))
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


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_valid_areas_are_kept_of_the_images_that_have_one(
    competition: Competition, tmp_path: Path, scale: float
) -> None:
    data = competition("masks", valid_masks="valid/{image_id}.png")
    (Path(data.source) / "valid").mkdir()
    sizes = build_manifest(data.model_copy(update={"valid_masks": None})).set_index("image_id")
    inside = {}
    for name in ("a", "b", "c", "t"):
        inside[name] = np.zeros((sizes.height[name], sizes.width[name]), np.uint8)
        inside[name][4:, 7:] = 9
        cv2.imwrite(str(Path(data.source) / f"valid/{name}.png"), inside[name])
    store, _ = _tiles(data, tmp_path / "t.h5", scale=scale)
    for name, mask in inside.items():
        expected = cv2.resize(mask.astype(np.float32), store.shape(name)[:0:-1], interpolation=cv2.INTER_AREA) > 0
        np.testing.assert_array_equal(store.valid(name, 0), expected)
    (Path(data.source) / "valid/t.png").unlink()
    store, _ = _tiles(data, tmp_path / "t.h5", scale=scale)
    assert (store.valid("t", 0), store.valid("a", 0).dtype) == (None, np.uint8)


def test_patch_fractions_are_those_of_the_stored_labels(competition: Competition, tmp_path: Path) -> None:
    data = competition("masks")
    store, patches = _tiles(data, tmp_path / "t.h5", scale=0.5)
    for row in patches.itertuples():
        labels = store.read_labels(row.image_id, row.z, (row.y, row.x, 16, 16))
        assert row.valid_fraction == pytest.approx((labels != 255).mean())
        assert row.positive_fraction == pytest.approx((labels == 1).sum() / (labels != 255).sum())


def test_a_stack_is_its_slices_clamped_at_both_ends(pixel_store: Callable[..., PixelStore]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 9, 2), np.uint8)
    store = pixel_store({"v": pixels})
    for z in range(4):
        stack = store.read_stack("v", Stack(5, 2).around(z, 4), (1, 2, 4, 5))
        for number, depth in enumerate(range(z - 4, z + 5, 2)):
            expected = pixels[min(max(depth, 0), 3), 1:5, 2:7]
            np.testing.assert_array_equal(stack[..., 2 * number : 2 * number + 2], expected)


@pytest.mark.parametrize("scale", [1.0, 0.7, 0.3])
def test_every_label_of_the_store_is_0_1_or_255(competition: Competition, tmp_path: Path, scale: float) -> None:
    store, _ = _tiles(competition("masks"), tmp_path / "t.h5", scale=scale)
    for name in "abc":
        assert set(np.unique(store.file[name]["labels"][:])) <= {0, 1, 255}


@pytest.mark.parametrize("kind", ["volumes", "masks"])
@pytest.mark.parametrize("changes", [{}, {"scale": 0.5}, {"scaling": "dataset"}], ids=str)
def test_several_processes_write_the_bytes_of_one(
    competition: Competition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, changes: dict
) -> None:
    data = competition(kind)
    one = _write(data, tmp_path / "one.h5", **changes)
    monkeypatch.setattr(tiling, "_SHARE", 1)
    several = _write(data, tmp_path / "several.h5", threads=3, **changes)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "several.h5").read_bytes()
    pd.testing.assert_frame_equal(one.patches, several.patches)
    pd.testing.assert_series_equal(one.ceilings, several.ceilings)


def test_what_a_killed_run_left_is_not_written_over(competition: Competition, tmp_path: Path) -> None:
    """A process of the killed run may still hold the old file: the rerun begins another one."""
    data = competition("masks")
    _write(data, tmp_path / "undisturbed.h5")
    (tmp_path / "t.h5").write_bytes(b"half written")
    with (tmp_path / "t.h5").open("r+b") as held:
        _write(data, tmp_path / "t.h5")
        held.write(bytes(9999))
    assert (tmp_path / "t.h5").read_bytes() == (tmp_path / "undisturbed.h5").read_bytes()


def test_the_processes_end_with_a_killed_parent(tmp_path: Path) -> None:
    code = "from tessera.data.pool import ordered; import os, time\n"
    code += (
        "list(ordered(lambda shared, job: os.write(1, b'%d\\n' % os.getpid()) and time.sleep(99), None, range(2), 2))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 60  # only so that a failure ends; a busy machine may take its time
    while any(_lives(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
        return True


def test_an_image_that_cannot_be_read_is_named_from_a_process_too(
    competition: Competition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = competition("masks")
    manifest = build_manifest(data)
    (Path(data.source) / "train/b.png").write_bytes((Path(data.source) / "train/a.png").read_bytes())
    monkeypatch.setattr(tiling, "_SHARE", 1)
    for threads in (1, 2):
        with pytest.raises(
            InputError, match=r"train/b\.png: has shape \(1, 24, 40, 3\), the manifest says \(1, 33, 20, 3\)"
        ):
            write_tiles(manifest, data, Tile(**TILE), tmp_path / "t.h5", threads)


def _volume_files(data: Data, suffix: str) -> Data:
    """The same volumes, each in one file: slices are then named by their numbers."""
    source = Path(data.source)
    for folder in [*source.glob("train/*"), *source.glob("test/*")]:
        pixels = np.stack([read_image(folder / f"{z}.tif", "grey")[..., 0] for z in (2, 10)])
        path = folder.with_suffix(suffix)
        np.save(path, pixels) if suffix == ".npy" else tifffile.imwrite(path, pixels, photometric="minisblack")
    for name in ("train.csv", "sample.csv"):
        text = (source / name).read_text()
        (source / name).write_text(text.replace("_2,", "_0,").replace("_10,", "_1,"))
    changes = {f"{subset}_images": f"{subset}/{{image_id}}{suffix}" for subset in ("train", "test")}
    return data.model_copy(update=changes)


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
@pytest.mark.parametrize("scaling", ["slice", "volume", "dataset"])
def test_a_volume_in_one_file_is_as_its_slices(
    competition: Competition, tmp_path: Path, suffix: str, scaling: str
) -> None:
    data = competition("volumes")
    folders, _ = _tiles(data, tmp_path / "folders.h5", scaling=scaling)
    files, _ = _tiles(_volume_files(data, suffix), tmp_path / "files.h5", scaling=scaling)
    for name in "abct":
        for key in folders.file[name]:
            np.testing.assert_array_equal(folders.file[name][key][:], files.file[name][key][:])


def test_the_scaling_is_that_of_the_slice_the_volume_or_all_training_images(
    competition: Competition, tmp_path: Path
) -> None:
    data = competition("volumes")
    slices = {name: [read_image(path, "grey") for path in (Path(data.source) / f"{folder}/{name}/{z}.tif" for z in (2, 10))] for name, folder in (("a", "train"), ("b", "train"), ("c", "train"), ("t", "test"))}  # fmt: skip
    expected = {
        "slice": [measure(partial(count, [pixels]), (0.5, 99.5)) for pixels in slices["t"]],
        "volume": [measure(partial(count, slices["t"]), (0.5, 99.5))] * 2,
        "dataset": [measure(partial(count, [*slices["a"], *slices["b"], *slices["c"]]), (0.5, 99.5))] * 2,
    }
    for over, scalings in expected.items():
        store, _ = _tiles(data, tmp_path / f"{over}.h5", scaling=over)
        attributes = store.file["t"].attrs
        for z, scaling in enumerate(scalings):
            np.testing.assert_array_equal(store.file["t"]["pixels"][z], scaling.apply(slices["t"][z]))
            assert (np.resize(attributes["black"], 2)[z], np.resize(attributes["white"], 2)[z]) == scaling


@pytest.mark.parametrize("threads", [1, 3])
def test_a_large_image_is_written_by_bands(
    competition: Competition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    for module in (base, tiff):
        monkeypatch.setattr(module, "BAND_BYTES", 700)
    data = competition("masks", train_images="train/{image_id}.tif", test_images=None, sample_submission=None)
    for name in "abc":
        pixels = read_image(Path(data.source) / f"train/{name}.png", "rgb")
        tifffile.imwrite(
            Path(data.source) / f"train/{name}.tif", pixels, photometric="rgb", tile=(16, 16), compression="zlib"
        )
    _write(data, tmp_path / "bands.h5", threads, scale=0.5)
    monkeypatch.undo()
    _write(data, tmp_path / "whole.h5", scale=0.5)
    assert (tmp_path / "bands.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_each_image_has_its_own_scale_where_the_pixel_size_is_given(competition: Competition, tmp_path: Path) -> None:
    data = competition("masks", pixel_size="um")
    (Path(data.source) / "meta.csv").write_text("id,patient,organ,um\na,p,k,0.5\nb,q,k,0.25\nc,r,k,1\nt,s,k,0.4\n")
    store, patches = _tiles(data, tmp_path / "t.h5", scale=None, pixel_size=0.5)
    shapes = {name: (store.scale(name), store.shape(name)) for name in "abct"}
    assert shapes == {
        "a": (1.0, (1, 24, 40)), "b": (0.5, (1, 16, 10)), "c": (2.0, (1, 80, 48)), "t": (0.8, (1, 25, 30)),
    }  # fmt: skip
    assert "truth" not in store.file["a"]
    for name in "bc":
        assert store.read_truth(name, 0).shape == (store.file[name].attrs["height"], store.file[name].attrs["width"])
    assert set(patches.image_id) == set("abc")


def test_the_ceiling_is_the_dice_of_the_truth_after_the_way_there_and_back(
    competition: Competition, tmp_path: Path
) -> None:
    data = competition("masks")
    mask = np.zeros((33, 20), np.uint8)
    mask[8:24, 4:16] = 1  # whole blocks survive
    cv2.imwrite(str(Path(data.source) / "masks/b.png"), mask)
    cv2.imwrite(str(Path(data.source) / "masks/a.png"), np.zeros((24, 40), np.uint8))
    ceilings = _write(data, tmp_path / "t.h5", scale=0.5).ceilings
    assert ceilings["a"] == 1.0
    assert ceilings["b"] > 0.9
    store = PixelStore(tmp_path / "t.h5")
    for name in "bc":
        truth = store.read_truth(name, 0)
        size, working = truth.shape, store.shape(name)[1:]
        labels = (store.read_labels(name, 0, (0, 0, *working)) == 1).astype(np.float32)
        found = (enlarge(labels[None], (0, 0), (0, size[0]), (0, size[1]), size, working)[0] >= 0.5) & (truth != 255)
        assert ceilings[name] == pytest.approx(2 * (found & (truth == 1)).sum() / (found.sum() + (truth == 1).sum()))
    assert _write(data, tmp_path / "t.h5", scale=1.0).ceilings.empty


def _label_one_pixel(data: Data) -> None:
    """`b`: left half grey noise, right half flat red, with a label in its lower right corner alone."""
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, :32] = np.random.default_rng(0).integers(100, 250, (32, 32, 1))
    image[:, 32:] = (30, 30, 200)  # OpenCV writes BGR
    mask = np.zeros((32, 64), np.uint8)
    mask[31, 63] = 1
    for folder, pixels in (("train", image), ("masks", mask)):
        cv2.imwrite(str(Path(data.source) / f"{folder}/b.png"), pixels)


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        ({}, {(y, x) for y in (0, 16) for x in (0, 16, 32, 48)}),
        ({"min_std": 5}, {(0, 0), (0, 16), (16, 0), (16, 16), (16, 48)}),
        ({"min_saturated": 0.5}, {(0, 32), (0, 48), (16, 32), (16, 48)}),
        ({"min_std": 5, "min_saturated": 0.5}, {(16, 48)}),
    ],
)
def test_background_is_left_out_of_the_index(
    competition: Competition, tmp_path: Path, keys: dict, left: set[tuple[int, int]]
) -> None:
    data = competition("masks")
    _label_one_pixel(data)
    _, patches = _tiles(data, tmp_path / "t.h5", stride=16, keep_empty=1.0, **keys)
    mine = patches[patches.image_id == "b"]
    assert set(zip(mine.y, mine.x, strict=True)) == left


def test_of_one_label_for_all_depth_the_middle_slice_shows_the_background(
    competition: Competition, tmp_path: Path
) -> None:
    """Three slices; only in the middle one there is something, in the left half."""
    keys = {"labels": "volume", "sample_submission": None, "test_images": None}
    data = competition("volumes", train_rle=None, train_masks="train/{image_id}.png", **keys)
    for name, (height, width) in {"a": (24, 40), "b": (33, 20), "c": (40, 24)}.items():
        for z, noise in (("2", 0), ("5", 99), ("10", 0)):
            pixels = np.random.default_rng(0).integers(0, noise + 1, (height, width)).astype(np.uint8)
            pixels[:, width // 2 :] = 0
            tifffile.imwrite(Path(data.source) / f"train/{name}/{z}.tif", pixels)
        cv2.imwrite(str(Path(data.source) / f"train/{name}.png"), np.zeros((height, width), np.uint8))
    _, patches = _tiles(data, tmp_path / "t.h5", stride=8, keep_empty=1.0, min_std=5)
    assert sorted(set(patches[patches.image_id == "a"].x)) == [0, 8, 16]
    assert set(patches.z) == {0}


@pytest.mark.parametrize("scale", [0.5, 0.7])
def test_overlapping_classes_below_scale_1(competition: Competition, tmp_path: Path, scale: float) -> None:
    """Each class is scaled by itself; the truth stays whole, and the ceiling is the Dice of both classes together."""
    data = competition(
        "masks", task="multilabel", classes=["a", "b"], train_masks=None, ignore=None, train_rle="train.csv",
        class_column="class", test_images=None, sample_submission=None,
    )  # fmt: skip
    planes, rows = {}, []
    for name, size in {"a": (24, 40), "b": (33, 20), "c": (40, 24)}.items():
        masks = np.zeros((2, *size), np.uint8)
        masks[0, 4:16, 4:12], masks[1, 8:20, 6:19] = 1, 1
        planes[name] = np.moveaxis(masks, 0, -1)
        rows += [(name, label, rle.encode(mask)) for label, mask in zip("ab", masks, strict=True)]
    pd.DataFrame(rows, columns=["id", "class", "rle"]).to_csv(Path(data.source) / "train.csv", index=False)
    tiled = _write(data, tmp_path / "t.h5", scale=scale)
    store = PixelStore(tmp_path / "t.h5")
    for name, truth in planes.items():
        size, working = truth.shape[:2], store.shape(name)[1:]
        assert working == working_size(*size, scale)
        labels = store.read_labels(name, 0, (0, 0, *working))
        assert labels.shape == (*working, 2)
        assert labels.sum((0, 1)) == pytest.approx(truth.sum((0, 1)) * scale**2, rel=0.25)
        np.testing.assert_array_equal(store.read_truth(name, 0), truth)
        maps = np.moveaxis(labels, -1, 0).astype(np.float32)
        found = enlarge(maps, (0, 0), (0, size[0]), (0, size[1]), size, working) >= 0.5
        common = (found & (np.moveaxis(truth, -1, 0) == 1)).sum()
        assert tiled.ceilings[name] == pytest.approx(2 * common / (found.sum() + truth.sum()))
        assert 0.8 < tiled.ceilings[name] <= 1
    for row in tiled.patches.itertuples():
        labels = store.read_labels(row.image_id, row.z, (row.y, row.x, 16, 16))
        for k, share in enumerate((row.positive_a, row.positive_b)):
            assert share == pytest.approx((labels[..., k] == 1).mean())


@pytest.mark.parametrize(
    "layout", [{"tile": (64, 64)}, {"rowsperstrip": 16}, {"rowsperstrip": 16, "compression": None}]
)
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_memory_does_not_grow_with_the_image(
    competition: Competition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: dict, scale: float
) -> None:
    """What Python and NumPy allocate at most, of an image and of one four times as tall."""
    for module in (base, tiff):
        monkeypatch.setattr(module, "BAND_BYTES", 2**16)
    data = competition("masks", train_images="train/{image_id}.tif", test_images=None, sample_submission=None)
    peaks = []
    for height in (512, 2048):
        pixels = np.random.default_rng(0).integers(0, 65536, (height, 512), np.uint16)
        tifffile.imwrite(Path(data.source) / "train/big.tif", pixels, **{"compression": "zlib"} | layout)
        row = {"image_id": "big", "subset": "test", "depth": 1, "height": height, "width": 512, "channels": 3, "image": "train/big.tif", "slices": ""}  # fmt: skip
        tracemalloc.start()
        write_tiles(pd.DataFrame([row]), data, Tile(**TILE | {"scale": scale}), tmp_path / "t.h5")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.15 * peaks[0]

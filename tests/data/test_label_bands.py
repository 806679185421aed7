"""Labels by bands: a band is exactly that part of the whole, and no more than a few are held."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from label_ways import BOXES, SIZES, WAYS, box_mask, read_label, say, truth, write_png

from tessera import rle
from tessera.data.annotations import uniting
from tessera.data.annotations.filled import Area
from tessera.data.annotations.planes import LabelSlice
from tessera.data.ingest import build_manifest
from tessera.data.labelling import Labels
from tessera.data.readers import base, tiff
from tessera.errors import InputError
from tessera.params.data import Data

Competition = Callable[..., Data]
A_CLASS = {
    "task": "multilabel", "classes": ["vessel", "nerve"], "train_masks": "masks/{image_id}_{class}.png",
    "sample_submission": None,
}  # fmt: skip


def small_bands(monkeypatch: pytest.MonkeyPatch, size: int = 64) -> None:
    """A band of a file holds no more than `size` bytes."""
    for module in (base, tiff):
        monkeypatch.setattr(module, "BAND_BYTES", size)


def as_tiffs(data: Data) -> Data:
    """The masks as tiled TIFFs."""
    for path in (Path(data.source) / "masks").iterdir():
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        pixels = pixels[..., ::-1] if pixels.ndim == 3 else pixels
        tifffile.imwrite(path.with_suffix(".tif"), pixels, tile=(16, 16), compression="zlib")
        path.unlink()
    return data.model_copy(update={"train_masks": data.train_masks.replace(".png", ".tif")})


@pytest.mark.parametrize("way", ["grey", "colour", "several masks", "instances", "coloured instances"])
@pytest.mark.parametrize("most", [1, 64])
def test_masks_that_stream_say_the_same(
    competition: Competition, monkeypatch: pytest.MonkeyPatch, way: str, most: int
) -> None:
    small_bands(monkeypatch)
    monkeypatch.setattr(uniting, "MOST_OPEN", most)
    labels = Labels.open(as_tiffs(say(competition, way)), [])
    for name in BOXES:
        np.testing.assert_array_equal(read_label(labels, name), truth(name))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rows", [1, 16, 1000])
def test_bands_of_any_height_are_parts_of_the_whole(competition: Competition, way: str, rows: int) -> None:
    labels = Labels.open(say(competition, way), [])
    for name in BOXES:
        np.testing.assert_array_equal(read_label(labels, name, rows=rows), truth(name))


@pytest.mark.parametrize("changes", [{}, {"train_rle": None, "train_masks": "masks/{image_id}.tif"}])
def test_a_file_holds_a_mask_or_a_valid_area_for_each_slice(competition: Competition, changes: dict) -> None:
    data = competition("volumes", valid_masks="valid/{image_id}.tif", **changes)
    source, rng = Path(data.source), np.random.default_rng(1)
    volumes = {}
    for folder in ("masks", "valid"):
        (source / folder).mkdir()
        for name in BOXES:
            volumes[folder, name] = rng.integers(0, 2, (2, *SIZES[name]), np.uint8)
            tifffile.imwrite(source / folder / f"{name}.tif", volumes[folder, name], photometric="minisblack")
    assert build_manifest(data).depth.tolist() == [2, 2, 2, 2]
    labels = Labels.open(data, [])
    for z in (0, 1, 0):
        label = read_label(labels, "b", z, ("2", "10"))
        np.testing.assert_array_equal(label == 255, volumes["valid", "b"][z] == 0)
        if changes:
            np.testing.assert_array_equal(label, np.where(label == 255, 255, volumes["masks", "b"][z]))


def write_classes(source: Path, **masks: np.ndarray) -> None:
    """Files `<image>_<class>.png` by their names; one for each image, if of nothing."""
    for name in BOXES:
        write_png(source / f"masks/{name}_nerve.png", 0 * truth(name))
    for name, mask in masks.items():
        write_png(source / f"masks/{name}.png", mask)


def test_a_mask_file_a_class(competition: Competition) -> None:
    data = Data(**competition("masks", ignore=None).model_dump() | A_CLASS)
    for path in (Path(data.source) / "masks").iterdir():
        path.unlink()
    write_classes(Path(data.source), a_vessel=truth("a"), a_nerve=1 - truth("a"), c_vessel=1 + truth("c"))
    (Path(data.source) / "masks/b_nerve.png").rename(Path(data.source) / "masks/b_vessel.png")
    (Path(data.source) / "masks/c_nerve.png").unlink()
    manifest = build_manifest(data)
    assert manifest.label.tolist() == [f"masks/{name}_{{class}}.png" for name in "abc"] + [""]
    labels = Labels.open(data, [])
    np.testing.assert_array_equal(read_label(labels, "a"), np.stack([truth("a"), 1 - truth("a")], 2))
    assert not read_label(labels, "b").any()
    assert (read_label(labels, "c") == (1, 0)).all()


def test_of_a_mask_file_a_class_ignored_are_pixels_of_that_class(competition: Competition) -> None:
    names = {"Large vessel": "vessel", "unsure": "ignore", "fat": "background"}
    data = Data(**competition("masks").model_dump() | A_CLASS | {"class_names": names})
    source = Path(data.source)
    for path in (source / "masks").iterdir():
        path.unlink()
    write_classes(
        source, b_nerve=truth("b") * 2, b_unsure=box_mask("b", (9, 0, 12, 4)), b_fat=1 - truth("b"),
        **{"b_Large vessel": box_mask("b", (9, 0, 20, 20)), "b_vessel": box_mask("b", (30, 0, 33, 20))},
    )  # fmt: skip
    build_manifest(data)
    vessel, nerve = np.moveaxis(read_label(Labels.open(data, []), "b"), 2, 0)
    expected = box_mask("b", (9, 0, 20, 20)) | box_mask("b", (30, 0, 33, 20))
    unsure = box_mask("b", (9, 0, 12, 4)) > 0
    np.testing.assert_array_equal(vessel, np.where(unsure, 255, expected))
    np.testing.assert_array_equal(nerve, np.where(unsure | (truth("b") > 0), 255, 0))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_strange_pixels_are_counted_over_all_bands(
    competition: Competition, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    small_bands(monkeypatch)
    data = say(competition, "grey")
    write_png(Path(data.source) / "masks/b.png", truth("b") + np.eye(33, 20, -4, dtype=np.uint8) * 6)
    data = as_tiffs(data) if suffix == "tif" else data
    with pytest.raises(InputError, match=r"value 7 at row 4, column 0 \(20 such pixels\)"):
        read_label(Labels.open(data, []), "b")


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_strange_colours_are_counted_over_all_bands(
    competition: Competition, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    small_bands(monkeypatch)
    colours = np.zeros((33, 20, 3), np.uint8)
    colours[3:30, 5], colours[2, 7], colours[31, 1] = (9, 0, 0), (8, 0, 0), (8, 0, 0)
    data = say(competition, "colour")
    write_png(Path(data.source) / "masks/b.png", colours)
    data = as_tiffs(data) if suffix == "tif" else data
    with pytest.raises(InputError) as error:
        read_label(Labels.open(data, []), "b")
    assert [problem.split("b." + suffix)[1] for problem in error.value.args] == [
        ": colour #090000 at row 3, column 5 (27 such pixels) is not in data.colours",
        ": colour #080000 at row 2, column 7 (2 such pixels) is not in data.colours",
    ]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_of_several_masks_each_wrong_one_is_named(competition: Competition, suffix: str) -> None:
    data = say(competition, "several masks")
    for number, value in ((0, 9), (2, 255), (3, 5)):
        write_png(Path(data.source) / f"masks/b_{number}.png", truth("b") * np.uint8(value))
    write_png(Path(data.source) / "masks/b_1.png", truth("a") * 255)
    data = as_tiffs(data) if suffix == "tif" else data
    with pytest.raises(InputError) as error:
        read_label(Labels.open(data, []), "b")
    assert sorted(p.split("masks/b_")[1][0] for p in error.value.args) == ["0", "1", "3"]


@pytest.mark.parametrize("kind", ["16-bit", "three equal channels"])
def test_a_grey_mask_is_one_plane_of_its_own_values(competition: Competition, kind: str) -> None:
    data = say(competition, "grey")
    mask = truth("b").astype(np.uint16) * 700 if kind == "16-bit" else np.repeat(truth("b")[..., None] * 70, 3, 2)
    write_png(Path(data.source) / "masks/b.png", mask)
    data = data.model_copy(update={"positive": int(mask.max())})
    np.testing.assert_array_equal(read_label(Labels.open(data, []), "b"), truth("b"))


def test_polygons_have_the_pixels_that_opencv_fills_in_the_whole_image() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        shape = tuple(map(int, rng.integers(5, 80, 2)))
        rings = [rng.integers(0, np.array(shape[::-1]) + 1, (rng.integers(3, 9), 2)) for _ in range(rng.integers(1, 3))]
        rings = [ring.astype(np.int32) for ring in rings]  # corners may lie on the image's far edges, one pixel outside
        whole, planes = np.zeros(shape, np.uint8), np.zeros((1, *shape), np.uint8)
        cv2.fillPoly(whole, rings, 1)
        filled = Area("vessel", rings).fill(shape)
        for y in range(0, shape[0], 7):
            filled.paint(planes[:, y : y + 7], y, ["vessel"])
        np.testing.assert_array_equal(planes[0], whole)


def _tall(source: Path, height: int) -> dict[str, dict]:
    """Image b is 512 px wide: a way to say its label → changes of `data`."""
    mask = np.zeros((height, 512), np.uint8)
    mask[:200, 100:200] = 1
    layout = {"tile": (64, 64), "compression": "zlib", "photometric": "minisblack"}
    for folder in ("tall", "tall_valid", "tall_class"):
        (source / folder).mkdir(exist_ok=True)
    for name in ("b", "b_0", "b_1"):
        tifffile.imwrite(source / f"tall/{name}.tif", mask, **layout)
    tifffile.imwrite(source / "tall_valid/b.tif", mask + 1, **layout)
    tifffile.imwrite(source / "tall_class/b.tif", np.repeat(mask[..., None], 3, 2), **layout | {"photometric": "rgb"})
    (source / "tall.csv").write_text(f"id,rle\nb,{rle.encode(mask)}\n")
    rings = [[[x, y], [x + 9, y], [x, y + 9]] for y in range(0, 512, 16) for x in range(0, 496, 16)]
    (source / "tall/b.json").write_text(json.dumps(rings))
    masks = {"train_rle": None, "train_masks": "tall/{image_id}.tif"}
    return {
        "grey": masks, "valid": masks | {"valid_masks": "tall_valid/{image_id}.tif"},
        "instances": masks | {"mask_kind": "instances"},
        "several": masks | {"train_masks": "tall/{image_id}_*.tif"},
        "colour": masks | {"train_masks": "tall_class/{image_id}.tif", "mask_kind": "colour",
                           "colours": {"#000000": "background", "#010101": "vessel"}},
        "rle": {"train_rle": "tall.csv", "train_masks": None},
        "polygons": {"train_polygons": "tall/{image_id}.json", "train_masks": None},
    }  # fmt: skip


@pytest.mark.parametrize("way", ["grey", "valid", "instances", "several", "colour", "rle", "polygons"])
def test_memory_does_not_grow_with_the_image(
    competition: Competition, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    small_bands(monkeypatch, 2**15)
    data, peaks = competition("masks", ignore=None), []
    for height in (1024, 4096):
        changed = _tall(Path(data.source), height)[way]
        labels = Labels.open(Data(**data.model_dump() | changed), [])
        tracemalloc.start()
        positive = sum(int((rows == 1).sum()) for _, rows in labels.bands(LabelSlice("b", ("",), 0, (height, 512)), 64))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert positive > 0
    assert peaks[1] < 1.15 * peaks[0]

"""Vesuvius 2023 in small: fragments of 65 16-bit slices, one label and one valid mask each, ids of another name."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import tifffile

from tessera.data.boxes import near
from tessera.data.parts import place_patches, training_patches
from tessera.errors import InputError

RECIPE = "vesuvius"
DEPTH = 65
BUFFER = 16  # original px
SMALL = {"tile": {"size": 16, "stride": 8, "keep_empty": 1.0}, "fold": {"buffer": BUFFER}}
TRAIN = {"1": (192, 80), "2": (80, 160), "3": (176, 64)}
TEST = {"a": (30, 20), "b": (20, 32)}


def _mask(shape: tuple[int, int]) -> np.ndarray:
    """The papyrus leaves out 8 columns at the left."""
    mask = np.full(shape, 255, np.uint8)
    mask[:, :8] = 0
    return mask


def _ink(shape: tuple[int, int]) -> np.ndarray:
    """A bar of 4 rows every 16, over all columns: also where no papyrus is."""
    ink = np.zeros(shape, np.uint8)
    for y in range(4, shape[0], 16):
        ink[y : y + 4] = 255
    return ink


def write_competition(source: Path) -> None:
    random = np.random.default_rng(0)
    for name, shape in (TRAIN | TEST).items():
        folder = source / ("train" if name in TRAIN else "test") / name
        (folder / "surface_volume").mkdir(parents=True)
        for z in range(DEPTH):
            pixels = random.integers(20000, 40000, shape).astype(np.uint16)
            tifffile.imwrite(folder / f"surface_volume/{z:02d}.tif", pixels)
        cv2.imwrite(str(folder / "mask.png"), _mask(shape))
        if name in TRAIN:
            cv2.imwrite(str(folder / "inklabels.png"), _ink(shape))
    (source / "sample_submission.csv").write_text("Id,Predicted\na,1 1 5 1\nb,1 1 5 1\n")


def test_the_manifest_has_a_row_a_fragment(run: NamedTuple) -> None:
    manifest = run.manifest
    assert manifest.index.tolist() == [*TRAIN, *TEST]
    for name, shape in (TRAIN | TEST).items():
        row = manifest.loc[name]
        assert (row.depth, row.height, row.width, row.channels) == (DEPTH, *shape, 1)
        assert row.slices == "/".join(f"{z:02d}" for z in range(DEPTH))
    assert manifest.label["1"] == "train/1/inklabels.png"


def test_a_fragment_has_one_label_and_one_row_and_only_on_papyrus(run: NamedTuple) -> None:
    (labels,) = run.store.file["1"]["labels"][:]
    assert run.store.shape("1")[0] == DEPTH
    assert run.template.to_dict("list") == {"Id": ["a", "b"], "Predicted": ["1 1 5 1"] * 2}
    expected = (_ink(TRAIN["1"]) // 255)[::2, ::2]  # bars and margin are even: exact at scale 0.5
    expected[:, :4] = 255
    np.testing.assert_array_equal(labels, expected)


def test_patches_lie_on_papyrus(run: NamedTuple) -> None:
    patches = run.patches
    mine = patches[(patches.image_id == "1") & (patches.z == 0)]
    assert sorted(set(mine.y)) == list(range(0, 81, 8)) and sorted(set(mine.x)) == [0, 8, 16, 24]
    assert mine.valid_fraction.tolist() == [12 / 16, 1.0, 1.0, 1.0] * 11
    assert set(mine.positive_fraction) == {4 / 16}  # a bar of 2 working rows every 8


def test_folds_are_strips_across_the_longer_side(run: NamedTuple) -> None:
    parts = run.parts
    assert len(parts) == 3 * 4 and parts.fold.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    second = parts[parts.fold == 1].set_index("image_id")[["z0", "z1", "y0", "y1", "x0", "x1"]]
    assert second.loc["1"].tolist() == [0, DEPTH, 48, 96, 0, 80]
    assert second.loc["2"].tolist() == [0, DEPTH, 0, 80, 40, 80]


def test_no_patch_within_the_buffer_trains(run: NamedTuple) -> None:
    patches = place_patches(run.patches, 16, run.store, run.manifest.reset_index())
    held_out = run.parts[run.parts.fold == 1]
    trains = training_patches(patches, patches, run.parts, 1, BUFFER, run.params.models["unet_25d"].half_depth)
    kept = patches[trains & (patches.image_id == "1") & (patches.z == 0)]
    assert len(near(patches[trains].reset_index(drop=True), held_out, 0, BUFFER)) == 0
    # Patches are 32 px, every 16; those at 16 and 96 touch the strip 48…96 that is held out.
    assert sorted(set(kept.y0)) == [0, 112, 144, 160]


def test_the_score_is_f_half_over_all_pixels(run: NamedTuple) -> None:
    score = run.params.score
    assert (score.metric, score.beta, score.average) == ("fbeta", 0.5, "pooled")


def test_a_fragment_without_papyrus_is_named(prepare: Callable) -> None:
    def blacken(source: Path) -> None:
        cv2.imwrite(str(source / "train/3/mask.png"), np.zeros(TRAIN["3"], np.uint8))

    with pytest.raises(InputError, match=r"train/3/mask\.png: the valid area \(data\.valid_masks\) is empty"):
        prepare(blacken)

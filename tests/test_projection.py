"""One label for all depth of a volume: few fragments, strips as folds, through every stage."""

import json

import cv2
import h5py
import numpy as np
import pandas as pd
import pytest
from repository import inside, run_stage, run_stages, toy_params

from tessera import paths, rle
from tessera.data.boxes import BOX
from tessera.data.manifest import read_manifest
from tessera.data.parts import read_folds
from tessera.learn.checkpoints import read_about
from tessera.params.load import load_params

DEPTH, SIZES = 5, {"f1": (96, 150), "f2": (130, 80), "t1": (70, 90)}
FOLD = {"unit": "part", "maker": "strips", "count": 2, "run": [0, 1], "buffer": 4}


def write_fragments(source, labels: str) -> dict:
    """Slices as files, each with a third of a bright rectangle; the label, which is all of it, as masks or RLE rows."""
    rng, rows = np.random.default_rng(0), []
    for name, (height, width) in SIZES.items():
        subset = "test" if name.startswith("t") else "train"
        mask = np.zeros((height, width), np.uint8)
        mask[15:-15, 10:-10] = 1
        (source / subset / name).mkdir(parents=True)
        for z in range(DEPTH):
            bright = mask * (np.arange(height)[:, None] % 3 == z % 3) * 120
            noisy = 60 + bright + rng.integers(0, 40, mask.shape)
            cv2.imwrite(str(source / subset / name / f"{z:02d}.png"), noisy.astype(np.uint8))
        if subset == "train" and labels == "masks":
            cv2.imwrite(str(source / subset / name / "ink.png"), mask)
        elif subset == "train":
            rows.append((name, rle.encode(mask == 1)))
    pd.DataFrame(rows, columns=["id", "rle"]).to_csv(source / "labels.csv", index=False)
    said = {"train_masks": "train/{image_id}/ink.png"} if labels == "masks" else {"train_rle": "labels.csv"}
    return said | {
        "source": str(source), "task": "binary", "classes": ["ink"], "channels": "grey", "labels": "volume",
        "train_images": "train/{image_id}/0{slice}.png", "test_images": "test/{image_id}/0{slice}.png", "solution": None,
    }  # fmt: skip


@pytest.fixture(scope="module", params=["masks", "rle"])
def finished(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("fragments")
    params = toy_params()
    params["data"] = write_fragments(folder / "raw", request.param)
    params["fold"] |= FOLD
    params["tile"] |= {"scale": 0.9, "size": 48, "stride": 24}
    flat = params["models"]["flat"] | {"size": 32, "epochs": 1, "validate_every": 1}
    params["models"] = {
        "middle": flat,
        "three": flat | {"slices": 3, "centres": [1, 3], "shift": 1, "edge": "reflect", "depths": [0, 4], "zoom": 1.25},
    }
    params["train"]["models"] = params["tune"]["ensemble"] = ["middle", "three"]
    params["tune"]["thresholds"] = "one"  # nothing says strata
    with inside(folder, params):
        run_stages(params)
        yield


def test_a_volume_is_one_row_with_one_label(finished):
    manifest, patches = read_manifest(paths.MANIFEST), pd.read_parquet(paths.PATCHES)
    assert manifest.depth.tolist() == [DEPTH] * 3
    assert set(patches.z) == {0}
    with h5py.File(paths.TILES) as tiles:
        assert tiles["f1/pixels"].shape == (5, 86, 135, 1)
        assert tiles["f1/labels"].shape == (1, 86, 135)
        assert tiles["f1/truth"].shape == (1, 96, 150)
        assert tiles["f1/truth"][0].sum() == 66 * 130


def test_out_of_fold_each_strip_has_one_map(finished):
    parts = read_folds(paths.FOLDS)
    for model in ("middle", "three"):
        for fold in (0, 1):
            with h5py.File(paths.oof(model, fold)) as file:
                assert set(file) == set(parts[parts.fold == fold].part_id)
                assert {item["identity"].shape[:2] for item in file.values()} == {(1, 1)}
    rows = json.loads(paths.SCORES.read_text())["rows"]
    assert rows["z"] == [0] * 4
    assert {row_id.split("@")[0] for row_id in rows["row_id"]} == {"f1", "f2"}


def test_training_on_a_label_has_seen_all_depth(finished):
    seen = pd.DataFrame(read_about(paths.weights("three", 0))["parts"], columns=BOX)
    assert set(zip(seen.z0, seen.z1, strict=True)) == {(0, DEPTH)}


def test_the_submission_has_a_row_a_volume(finished):
    submission = pd.read_csv(paths.SUBMISSION, keep_default_na=False)
    assert submission.iloc[:, 0].tolist() == ["t1"]
    assert rle.decode(submission.iloc[0, 1], SIZES["t1"]).shape == SIZES["t1"]


def test_the_recipe_says_what_is_read(finished):
    recipe, models = json.loads(paths.RECIPE.read_text()), load_params().models
    assert recipe["labels"] == "volume"
    for name, said in recipe["models"].items():
        assert said.get("centres") == (list(models[name].centres) if models[name].centres else None)


def test_the_price_of_a_leak_is_that_of_patches(finished, capsys):
    run_stage("leak_estimate")
    assert "the price of the leak: " in capsys.readouterr().out

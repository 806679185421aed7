"""Real sets, where TESSERA_REAL_DATA names their folder, and beside them the sample."""

import os
from pathlib import Path

import pandas as pd
import pytest
from closure import ROOT

from tessera import rle
from tessera.data.ingest import build_manifest
from tessera.data.leaks import check_folds
from tessera.data.makers.build import make_folds
from tessera.data.parts import place_patches
from tessera.data.pixels import PixelStore
from tessera.data.sample import write_sample
from tessera.data.tiling import write_tiles
from tessera.params import load_params

DATA = Path(os.environ.get("TESSERA_REAL_DATA", ""))
needs_data = pytest.mark.skipif("TESSERA_REAL_DATA" not in os.environ, reason="TESSERA_REAL_DATA is not set")


@needs_data
def test_every_mask_of_a_real_competition_survives_decoding_and_encoding():
    rows = pd.read_csv(DATA / "rle_csv/tgs_salt_train.csv", keep_default_na=False)
    for text in rows.iloc[:, 1]:
        assert rle.encode(rle.decode(text, (101, 101))) == text


@needs_data
@pytest.mark.parametrize(("name", "train", "test"), [("monuseg", (30, 30), (14, 14)), ("isbi2012", (1, 30), (1, 30))])
def test_the_recipes_read_their_data_as_they_are(name: str, train: tuple[int, int], test: tuple[int, int]):
    data = load_params(ROOT / f"recipes/{name}.yaml").data
    manifest = build_manifest(data.model_copy(update={"source": str(DATA / name)}))
    for subset, (images, slices) in (("train", train), ("test", test)):
        rows = manifest[manifest.subset == subset]
        assert (len(rows), rows.depth.sum()) == (images, slices)


def _check_folds(params_file: Path, source: Path, tiles: Path) -> list[str]:
    """ingest → tile → fold with shipped params; the notes of a clean split. Raises InputError for any leak."""
    params = load_params(params_file)
    data = params.data.model_copy(update={"source": str(source)})
    manifest = build_manifest(data)
    patches = write_tiles(manifest, data, params.tile, tiles)
    store = PixelStore(tiles)
    patches = place_patches(patches, params.tile.size, store, manifest)
    assert params.fold.near is not None
    return check_folds(make_folds(manifest, patches, params.fold, data), manifest, patches, params.fold, store)


@needs_data
@pytest.mark.parametrize("name", ["monuseg", "isbi2012"])
def test_the_folds_of_the_recipes_are_clean(name: str, tmp_path: Path):
    notes = _check_folds(ROOT / f"recipes/{name}.yaml", DATA / name, tmp_path / "tiles.h5")
    assert all("some fold must lack it" in note for note in notes)


def test_the_folds_of_the_sample_are_clean(tmp_path: Path):
    params = load_params(ROOT / "params.yaml")
    write_sample(tmp_path / "sample", **params.sample.model_dump())
    assert _check_folds(ROOT / "params.yaml", tmp_path / "sample", tmp_path / "tiles.h5") == []

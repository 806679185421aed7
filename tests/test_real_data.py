"""Real sets, where TESSERA_REAL_DATA names their folder, and beside them the sample."""

import os
from pathlib import Path

import pandas as pd
import pytest
from closure import ROOT

from tessera.data.annotations.planes import LabelSlice
from tessera.data.ingest import build_manifest
from tessera.data.labelling import Labels
from tessera.data.leaks import check_folds
from tessera.data.makers.build import make_folds
from tessera.data.parts import place_patches
from tessera.data.pixels import PixelStore
from tessera.data.sample import write_sample
from tessera.data.tiling import write_tiles
from tessera.labels import RleForm, read_rle_table
from tessera.params.data import Data
from tessera.params.load import load_params

DATA = Path(os.environ.get("TESSERA_REAL_DATA", ""))
needs_data = pytest.mark.skipif("TESSERA_REAL_DATA" not in os.environ, reason="TESSERA_REAL_DATA is not set")


# file, id column, column of masks, form, shape, rows, rows that are not empty
RLE_FILES = {
    "TGS salt": ("tgs_salt_train.csv", "id", "rle_mask", RleForm(), "", (101, 101), 4000, 2438),
    "Airbus": ("airbus_ship_sample.csv", "ImageId", "EncodedPixels", RleForm(), ".jpg", (768, 768), 29, 25),
    "SIIM": (
        "siim_pneumothorax_stage2_sample_submission.csv", "ImageId", "EncodedPixels",
        RleForm("column", 0, relative=True, empty=("-1",)), "", (1024, 1024), 3205, 0,
    ),
    "TGS salt, to fill in": (
        "tgs_salt_sample_submission.csv", "id", "rle_mask", RleForm(empty=("1 1",)), "", (101, 101), 18000, 0,
    ),
}  # fmt: skip


@needs_data
@pytest.mark.parametrize("name", RLE_FILES)
def test_every_mask_of_a_real_competition_survives_decoding_and_encoding(name: str):
    file, ids, cells, form, ending, shape, count, filled = RLE_FILES[name]
    table = read_rle_table(DATA / "rle_csv" / file, ids, cells, form, id_ending=ending)
    rows = [row for rows in table.rows.values() for row in rows]
    assert table.repeated(several=True) == []
    assert (len(rows), sum(row.text not in form.empty for row in rows)) == (count, filled)
    for row in rows:
        assert form.encode(table.read_runs(row, shape).rows(0, shape[0])) == row.text


@needs_data
def test_a_competition_of_file_name_ids_and_several_rows_an_image(tmp_path: Path):
    rows = pd.read_csv(DATA / "rle_csv/airbus_ship_sample.csv", keep_default_na=False)
    images = DATA / "rle_csv/airbus_images"
    rows = rows[rows.ImageId.isin([path.name for path in images.iterdir()])]
    rows.to_csv(tmp_path / "train.csv", index=False)
    (tmp_path / "images").symlink_to(images)
    data = Data(
        source=str(tmp_path), task="binary", classes=["ship"], channels="rgb", train_images="images/{image_id}.jpg",
        train_rle="train.csv", rle_column="EncodedPixels", rle_rows="several", id="ImageId", id_ending=".jpg",
        solution=None,
    )  # fmt: skip
    assert len(build_manifest(data)) == 3
    labels = Labels.open(data, [])
    for name, texts in rows.groupby("ImageId").EncodedPixels:
        pixels = sum(sum(map(int, text.split()[1::2])) for text in texts)
        bands = labels.bands(LabelSlice(Path(name).stem, ("",), 0, (768, 768)), 100)
        assert sum(int(rows.sum()) for _, rows in bands) == pixels


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
    patches = write_tiles(manifest, data, params.tile, tiles).patches
    store = PixelStore(tiles)
    patches = place_patches(patches, params.tile.size, store, manifest)
    assert params.fold.near is not None
    return check_folds(make_folds(manifest, patches, params.fold, data, []), manifest, patches, params.fold, store)


@needs_data
@pytest.mark.parametrize("name", ["monuseg", "isbi2012"])
def test_the_folds_of_the_recipes_are_clean(name: str, tmp_path: Path):
    notes = _check_folds(ROOT / f"recipes/{name}.yaml", DATA / name, tmp_path / "tiles.h5")
    assert all("some fold must lack it" in note for note in notes)


def test_the_folds_of_the_sample_are_clean(tmp_path: Path):
    params = load_params(ROOT / "params.yaml")
    write_sample(tmp_path / "sample", **params.sample.model_dump())
    assert _check_folds(ROOT / "params.yaml", tmp_path / "sample", tmp_path / "tiles.h5") == []

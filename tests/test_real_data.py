"""Real sets, where TESSERA_REAL_DATA names their folder."""

import os
from pathlib import Path

import pandas as pd
import pytest
from closure import ROOT

from tessera.data.ingest import build_manifest
from tessera.data.labelling import Labels
from tessera.labels import RleForm, read_rle_table
from tessera.params import Data, load_params

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
        assert form.encode(table.decode(row, shape)) == row.text


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
        assert labels.read(Path(name).stem, "", (768, 768)).sum() == pixels


@needs_data
@pytest.mark.parametrize(("name", "train", "test"), [("monuseg", (30, 30), (14, 14)), ("isbi2012", (1, 30), (1, 30))])
def test_the_recipes_read_their_data_as_they_are(name: str, train: tuple[int, int], test: tuple[int, int]):
    data = load_params(ROOT / f"recipes/{name}.yaml").data
    manifest = build_manifest(data.model_copy(update={"source": str(DATA / name)}))
    for subset, (images, slices) in (("train", train), ("test", test)):
        rows = manifest[manifest.subset == subset]
        assert (len(rows), rows.depth.sum()) == (images, slices)

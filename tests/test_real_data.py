"""Real sets, where TESSERA_REAL_DATA names their folder."""

import os
from pathlib import Path

import pandas as pd
import pytest
from closure import ROOT

from tessera import rle
from tessera.data.ingest import build_manifest
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

"""A reviewed list in params makes a new manifest; what does not read it does not run again."""

import json
import shutil

import pandas as pd
import pytest
from repository import SOURCE, TOY_SAMPLE, Repository, inside, run_stage, toy_params

from stages import full, train
from tessera import paths
from tessera.data.manifest import read_manifest
from tessera.data.parts import read_folds
from tessera.data.sample import write_sample
from tessera.errors import InputError


@pytest.fixture(scope="module")
def tiled(tmp_path_factory):
    """A folder in which ingest and tile have run."""
    folder = tmp_path_factory.mktemp("toy")
    write_sample(folder / SOURCE, **TOY_SAMPLE)
    with inside(folder, toy_params()):
        run_stage("ingest")
        run_stage("tile")
    return folder


def _cleaned(drop: list, weight: dict) -> dict:
    params = toy_params() | {"clean": {"drop": drop, "weight": weight}}
    params["train"] |= {"full": ["deep"]}
    return params


def test_a_dropped_image_is_in_no_fold_and_trains_nothing(tiled):
    with inside(tiled):
        names = read_manifest(paths.MANIFEST, "train").image_id.tolist()
    with inside(tiled, _cleaned([names[0]], {names[1]: 0.5})):
        before = paths.MANIFEST.read_bytes()
        run_stage("clean")
        run_stage("fold")
        run_stage("extra")
        assert paths.MANIFEST.read_bytes() == before
        assert set(read_folds(paths.FOLDS).image_id) == set(names[1:])
        assert len(read_manifest(paths.CLEAN, "test")) == len(read_manifest(paths.MANIFEST, "test"))
        for fit in (train.prepare("flat", 0), full.prepare("deep")):
            assert names[0] not in set(fit.patches.image_id)
            for name, weight in fit.patches.groupby("image_id").weight.first().items():
                assert weight == (0.5 if name == names[1] else 1)
        assert full.prepare("deep").said["weights"] == {names[1]: 0.5}


def test_without_a_list_trainings_are_as_they_were(tiled):
    with inside(tiled, _cleaned([], {})):
        run_stage("clean")
        run_stage("fold")
        run_stage("extra")
        fit = train.prepare("flat", 0)
        assert "weight" not in fit.patches
        assert "weights" not in fit.said
        shutil.copy(paths.MANIFEST, paths.CLEAN)  # without the column
        as_ever = train.prepare("flat", 0)
        assert as_ever.key == fit.key
        pd.testing.assert_frame_equal(as_ever.patches, fit.patches)  # so that the same are drawn


def test_an_unknown_image_stops_the_stage(tiled):
    with (
        inside(tiled, _cleaned(["image_that_is_not_there"], {})),
        pytest.raises(InputError, match="no image 'image_that"),
    ):
        run_stage("clean")


def test_dvc_does_not_tile_again_for_a_dropped_image(tmp_path):
    home = Repository.create(tmp_path, toy_params())
    assert {"tile", "clean", "fold"} <= home.repro("fold")
    home.params["clean"]["drop"] = [read_manifest(tmp_path / paths.MANIFEST, "train").image_id[0]]
    home.write_params()
    changed = {name.partition("@")[0] for name in json.loads(home.run("dvc", "status", "--json"))}
    assert {"clean", "fold", "train", "tune"} <= changed
    assert not {"ingest", "tile"} & changed
    assert home.repro("fold") == {"clean", "fold"}

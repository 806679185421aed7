"""A competition of few large images: strips as folds, through the stages that know of them."""

import json
from pathlib import Path

import h5py
import pandas as pd
import pytest
from repository import SOURCE, TOY_SAMPLE, inside, run_stage, run_stages, toy_params

from tessera import paths
from tessera.data.boxes import BOX, near
from tessera.data.parts import read_folds
from tessera.data.sample import write_sample
from tessera.errors import InputError
from tessera.learn.checkpoints import read_about

BUFFER = 9  # original px, more than one working px


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strips")
    params = toy_params()
    params["fold"] |= {"unit": "part", "maker": "strips", "buffer": BUFFER}
    params["tile"] |= {"scale": 0.6, "size": 48, "stride": 24}
    flat = params["models"]["flat"] | {"size": 32, "epochs": 1, "validate_every": 1, "depths": [1, 3]}
    params["models"] = {"flat": flat}
    params["train"]["models"] = params["tune"]["ensemble"] = ["flat"]
    write_sample(folder / SOURCE, **TOY_SAMPLE)
    with inside(folder, params):
        run_stages(params)
        yield


@pytest.mark.parametrize("fold", [0, 1])
def test_no_pixel_nearer_than_the_buffer_was_trained_on(finished, fold):
    parts = read_folds(paths.FOLDS)
    seen = pd.DataFrame(read_about(paths.weights("flat", fold))["parts"], columns=BOX)
    assert len(near(seen, parts[parts.fold == fold], 0, BUFFER)) == 0
    assert len(near(seen, parts[parts.fold != fold], 0, 0)) > 0


@pytest.mark.parametrize("fold", [0, 1])
def test_each_strip_is_predicted_alone(finished, fold):
    parts = read_folds(paths.FOLDS)
    mine = parts[parts.fold == fold].set_index("part_id")
    with h5py.File(paths.oof("flat", fold)) as file:
        assert set(file) == set(mine.index)
        for name, item in file.items():
            assert [item.attrs[key] for key in BOX[3:]] == mine.loc[name, BOX[3:]].tolist()
            assert (
                item["identity"].shape[2] < 0.7 * item.attrs["rows"]
                or item["identity"].shape[3] < 0.7 * item.attrs["columns"]
            )


def test_slices_outside_the_depths_are_neither_trained_on_nor_predicted(finished):
    seen = pd.DataFrame(read_about(paths.weights("flat", 0))["parts"], columns=BOX)
    assert (seen.z0.min(), seen.z1.max()) == (1, 3)
    for path in (paths.oof("flat", 0), paths.predictions("flat")):
        with h5py.File(path) as file:
            for item in file.values():
                assert item["identity"][:, 0].max() == 0 < item["identity"][:, 1:].min((0, 2, 3)).min()


def test_rows_are_strips_of_slices(finished):
    rows = json.loads(paths.SCORES.read_text())["rows"]
    assert len(set(rows["row_id"])) == 2 * 6 * 3  # two strips of six volumes of three slices
    assert len(set(rows["group"])) == 12


def test_a_checkpoint_of_the_other_strips_is_refused(finished):
    own = paths.weights("flat", 1).read_bytes()
    paths.weights("flat", 1).write_bytes(paths.weights("flat", 0).read_bytes())
    try:
        with pytest.raises(InputError, match=f"were trained on.*fold.buffer {BUFFER}"):
            run_stage("oof", "flat", 1)
    finally:
        paths.weights("flat", 1).write_bytes(own)


def test_the_price_of_a_leak_is_printed_and_nothing_is_written(finished, capsys):
    def files() -> dict[Path, int]:
        found = (path for path in Path().rglob("*") if path.is_file() and path.suffix != ".lock")
        return {path: path.stat().st_mtime_ns for path in found}

    before = files()
    run_stage("leak_estimate")
    said = capsys.readouterr().out
    for piece in (
        "on patches dealt at random",
        "flat grouped  epoch 1/1",
        "flat random  epoch 1/1",
        "the price of the leak: ",
    ):
        assert piece in said
    assert files() == before

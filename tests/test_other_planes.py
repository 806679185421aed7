"""A model that reads all planes of its volumes, from training to predictions."""

import json

import h5py
import pandas as pd
from repository import SOURCE, TOY_SAMPLE, inside, run_stages, toy_params

from tessera import paths
from tessera.data.boxes import BOX
from tessera.data.sample import write_sample
from tessera.learn.checkpoints import read_about


def test_all_planes_are_trained_and_predicted_to_a_submission(tmp_path):
    params = toy_params()
    flat = params["models"]["flat"] | {"size": 32, "slices": 3, "epochs": 1, "planes": ["xy", "xz", "yz"]}
    params["models"] = {"turned": flat}
    params["predict"]["views"] = ["identity"]
    params["tile"] |= {"scale": 0.15, "size": 32, "stride": 32}
    params["train"]["models"] = params["tune"]["ensemble"] = ["turned"]
    write_sample(tmp_path / SOURCE, **TOY_SAMPLE)
    with inside(tmp_path, params):
        run_stages(params)
        seen = pd.DataFrame(read_about(paths.weights("turned", 0))["parts"], columns=BOX)
        assert set(zip(seen.z0, seen.z1, strict=True)) == {(0, 3)}, "a window of another plane holds all slices"
        for path in (paths.oof("turned", 0), paths.predictions("turned")):
            with h5py.File(path) as file:
                assert {item["identity"].shape[1] for item in file.values()} == {3}
        assert not list(paths.SCRATCH.rglob("*.sums"))
        assert json.loads(paths.RECIPE.read_text())["models"]["turned"]["planes"] == ["xy", "xz", "yz"]
        wanted = pd.read_csv(f"{SOURCE}/sample_submission.csv")
        assert pd.read_csv(paths.SUBMISSION).id.tolist() == wanted.id.tolist()

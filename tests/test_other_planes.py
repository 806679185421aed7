"""A model that reads all planes of its volumes, from training to predictions."""

import h5py
import pandas as pd
import yaml
from repository import SOURCE, TOY_SAMPLE, run_stage, toy_params

from tessera import paths
from tessera.data.boxes import BOX
from tessera.data.sample import write_sample
from tessera.learn.checkpoints import read_about


def test_all_planes_are_trained_and_predicted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TESSERA_DEVICE", "cpu")
    params = toy_params()
    flat = params["models"]["flat"] | {"size": 32, "slices": 3, "epochs": 1, "planes": ["xy", "xz", "yz"]}
    params["models"] = {"turned": flat}
    params["tile"] |= {"scale": 0.3, "size": 32, "stride": 32}
    params["train"]["models"] = params["tune"]["ensemble"] = ["turned"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    write_sample(tmp_path / SOURCE, **TOY_SAMPLE)
    for stage in ("ingest", "tile", "fold"):
        run_stage(stage)
    for fold in (0, 1):
        run_stage("train", "turned", fold)
    seen = pd.DataFrame(read_about(paths.weights("turned", 0))["parts"], columns=BOX)
    assert set(zip(seen.z0, seen.z1, strict=True)) == {(0, 3)}, "a window of another plane holds all slices"
    run_stage("oof", "turned", 0)
    run_stage("predict", "turned")
    for path in (paths.oof("turned", 0), paths.predictions("turned")):
        with h5py.File(path) as file:
            assert {item["identity"].shape[1] for item in file.values()} == {3}
    assert not list(paths.SCRATCH.rglob("*.sums"))

"""What DVC runs again after a change, and on another machine; beside test_end_to_end.py, so that both run at once."""

from concurrent.futures import ThreadPoolExecutor

from repository import Repository, toy_params

from tessera import paths

AFTER = {"tune", "submit", "report"}


def test_dvc_repeats_nothing_that_did_not_change(tmp_path):
    """Two repositories: in one, models come, change and go; the other is fresh, without them."""
    first, last = toy_params(), toy_params()
    for params, model in ((first, "flat"), (last, "deep")):
        params["fold"]["run"] = [0]
        params["train"]["models"] = params["tune"]["ensemble"] = [model]
    last["models"]["deep"] |= {"encoder": "tu-mobilenetv3_small_050"}
    home = Repository.create(tmp_path / "home", first)
    fresh = Repository.create(tmp_path / "fresh", last)
    raw = home.raw_state()
    with ThreadPoolExecutor(2) as pool:
        ran, _ = pool.map(Repository.repro, (home, fresh))
    assert ran >= {"ingest", "tile", "fold", "train@flat-0", "oof@flat-0", "predict@flat", *AFTER}
    assert home.repro() == set(), "a second run runs nothing"

    home.params["tune"]["thresholds"] = "per_class"
    home.write_params()
    assert home.repro() == AFTER, "a threshold rule"

    home.params["train"] |= {"models": ["flat", "deep"], "full": ["flat"]}
    home.params["tune"]["ensemble"] = ["flat", "deep"]
    home.write_params()
    new = {"extra", "train@deep-0", "oof@deep-0", "predict@deep", "full@flat", "predict@flat"}
    assert home.repro() == new | AFTER, "a new model, and a training on all folds"
    for path in (paths.SCORES, paths.RECIPE, paths.REPORT):
        assert "one trained on all folds, in flat" in home.read(path).decode()

    home.params["models"]["deep"]["encoder"] = last["models"]["deep"]["encoder"]
    home.params["train"]["full"] = []
    home.write_params()
    changed = {"extra", "train@deep-0", "oof@deep-0", "predict@deep"}
    assert home.repro() == changed | {"predict@flat"} | AFTER, "a changed encoder, and no training on all folds"

    home.params = last
    home.write_params()
    assert home.repro() == {"extra"} | AFTER, "a model that is taken out"
    assert "left over and not read" in home.run("python", "-m", "stages.tune")
    for path in (
        paths.SUBMISSION,
        paths.RECIPE,
        paths.SCORES,
        paths.TILES,
        paths.oof("deep", 0),
        paths.weights("deep", 0),
    ):
        assert home.read(path) == fresh.read(path), f"{path} differs from a fresh clone's"
    assert home.raw_state() == raw, "the user's own data was touched"


def test_a_fold_trained_on_a_rented_machine_comes_home(tmp_path):
    """README: clone, pull, train one fold, push the run cache there; `dvc repro --pull` at home does not train it again."""
    params = toy_params()
    params["fold"]["run"] = [0]
    params["train"]["models"] = params["tune"]["ensemble"] = ["flat"]
    home = Repository.create(tmp_path / "home", params)
    home.run("dvc", "remote", "add", "-d", "storage", str(tmp_path / "storage"))
    home.repro("extra")
    home.run("dvc", "push")
    home.commit()

    rented = home.clone(tmp_path / "rented")
    rented.run("dvc", "pull", "--allow-missing")
    assert rented.repro("-s", "train@flat-0") == {"train@flat-0"}
    rented.run("dvc", "push", "--run-cache")

    said = home.run("dvc", "repro", "--pull")
    assert "Running stage 'train@flat-0'" not in said and "Running stage 'submit'" in said
    for path in (paths.weights("flat", 0), paths.record("flat", 0)):
        assert home.read(path) == rented.read(path)

"""Pseudo-labels by their command, the stage `extra` and DVC, on a toy competition whose networks are planted, not trained."""

import json
import multiprocessing
import shutil
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from repository import SOURCE, TOY_SAMPLE, Repository, inside, run_stage, toy_params

from stages import asking, freezing, pseudo
from tessera import paths
from tessera.data.manifest import TEST, read_manifest
from tessera.data.parts import read_folds
from tessera.data.rounds import read_round
from tessera.data.sample import write_sample
from tessera.errors import InputError
from tessera.learn.checkpoints import digest_of, read_about, save_checkpoint
from tessera.learn.lock import locked
from tessera.learn.networks.build import build_network
from tessera.params.load import load_params

PARAMS = toy_params() | {"pseudo": {"labels": "hard", "bounds": [0.3, 0.7], "weight": 0.5}}
PARAMS["tile"] |= {"scale": 0.25, "size": 32, "stride": 16}
PARAMS["predict"] |= {"window": 64, "overlap": 0, "views": ["identity"]}
SAYS = {
    ("flat", 0): 0.88,
    ("deep", 0): 0.72,
    ("flat", 1): 0.12,
    ("deep", 1): 0.28,
}  # model, fold: its probability everywhere
DECISION = {
    "weights": {"flat": 0.75, "deep": 0.25}, "views": ["identity"], "blend": "probabilities", "cut": "threshold", "by": "",
    "levels": {"*": [128]}, "steps": {},
}  # fmt: skip


def _plant() -> None:
    """Checkpoints of networks that say one probability everywhere, and the recipe that weighs them."""
    params, parts, manifest = load_params(), read_folds(paths.FOLDS), read_manifest(paths.MANIFEST, "train")
    for (model, fold), probability in SAYS.items():
        network = build_network(params.models[model], 1, 1, pretrained=False)
        head = network.network.segmentation_head[0]
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.constant_(head.bias, torch.logit(torch.tensor(probability)).item())
        seen = parts[parts.fold != fold]
        images = manifest[manifest.image_id.isin(seen.image_id)]
        about = {
            "model": model, "fold": fold, "parts": seen.drop(columns=["fold", "part_id"]).to_numpy().tolist(),
            "groups": images.group.tolist(), "digests": images.digest.tolist(),
        }  # fmt: skip
        paths.weights(model, fold).parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(paths.weights(model, fold), network, about)
    paths.RECIPE.parent.mkdir()
    _write_scores({})
    paths.RECIPE.write_text(json.dumps({"decision": DECISION, "views": PARAMS["predict"]["views"]}))


def _write_scores(without: dict[int, dict]) -> None:
    """What tune says of rows that are the parts of the folds. without: fold → the decision that was made without it."""
    parts = read_folds(paths.FOLDS)
    holdouts = [{"rows": parts[parts.fold == fold].part_id.tolist(), "decision": one} for fold, one in without.items()]
    rows = {"row_id": parts.part_id.tolist(), "fold": parts.fold.tolist()}
    reason = None if without else "2 group(s): cross-fitting needs three"
    paths.SCORES.write_text(json.dumps({"ensemble": {"reason": reason, "holdouts": holdouts}, "rows": rows}))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    write_sample(folder / SOURCE, **TOY_SAMPLE)
    with inside(folder, PARAMS):
        for stage in ("ingest", "tile", "clean", "fold"):
            run_stage(stage)
        _plant()
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of its own, where DVC says that all is of now."""
    for folder in ("data", "folds", "checkpoints", "submissions"):
        shutil.copytree(made / folder, tmp_path / folder)
    for place in ("stages.dvc.dvc", "stages.pseudo.dvc"):
        monkeypatch.setattr(place, lambda *arguments: "{}")
    with inside(tmp_path, PARAMS):
        yield tmp_path


def _write_params(models: dict | None = None, **changes: dict) -> None:
    params = PARAMS | changes
    params["models"] = {name: model | (models or {}).get(name, {}) for name, model in params["models"].items()}
    Path("params.yaml").write_text(json.dumps(params))


def _round(name: str) -> Path:
    return paths.ROUNDS / f"{name}.h5"


def _left() -> list[Path]:
    return [path for path in paths.SCRATCH.rglob("*") if path.is_file() and path.suffix != ".lock"]


def _values(name: str) -> dict[str, list[int]]:
    """All labels that a fit has."""
    fits = read_round(_round(name)).fits
    return {
        fit: sorted(set(np.concatenate([image.array.ravel() for image in labels.images.values()]).tolist()))
        for fit, labels in fits.items()
    }


def test_the_labels_of_a_fold_are_those_of_its_own_networks(home: Path) -> None:
    """Blended: 0.84 in fold 0, 0.16 in fold 1; the mean over both, for a training on all folds, is 0.5."""
    run_stage("pseudo", "hard")
    assert _values("hard") == {"0": [1], "1": [0], "full": [255]}
    _write_params(pseudo={"labels": "soft", "bounds": [0.5, 0.5], "weight": 1})
    run_stage("pseudo", "soft")
    values = {fit: value / 254 for fit, (value,) in _values("soft").items()}
    assert values == pytest.approx({"0": 0.84, "1": 0.16, "full": 0.5}, abs=0.005)


def test_the_labels_of_a_fold_follow_what_was_decided_without_it(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recipe would say 1 and 0 of folds 0 and 1, and 1 of both."""
    without = DECISION | {"weights": {"flat": 0.0, "deep": 1.0}, "levels": {"*": [200]}}
    _write_params(pseudo=PARAMS["pseudo"] | {"bounds": [0.5, 0.5]})
    _write_scores({0: without, 1: DECISION | {"levels": {"*": [20]}}})
    run_stage("pseudo", "r1")
    assert _values("r1") == {"0": [0], "1": [1], "full": [1]}
    assert "labels follow the recipe" not in capsys.readouterr().out
    fits = read_round(_round("r1")).fits
    assert [[(one["model"], one["fold"]) for one in fits[fit].seen] for fit in "01"] == [
        [("deep", 0)], [("flat", 1), ("deep", 1)],
    ]  # fmt: skip

    _write_scores({0: without, 1: DECISION})
    with pytest.raises(InputError, match="made of another decisions"):
        run_stage("pseudo", "r1")
    _write_scores({0: without | {"blend": "ranks"}, 1: DECISION})
    with pytest.raises(InputError, match=r"blend ranks, which are no probabilities"):
        run_stage("pseudo", "r2")


def test_where_nothing_was_decided_without_a_fold_a_line_says_so(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_stage("pseudo", "r1")
    said = "fold 0, 1: labels follow the recipe, which was decided with it; none was without (2 group(s): cross-fitting"
    assert said in capsys.readouterr().out


def test_a_second_process_that_predicts_the_same_is_refused(home: Path) -> None:
    fork = multiprocessing.get_context("fork")
    held, done = fork.Event(), fork.Event()

    def hold() -> None:
        with locked(paths.SCRATCH / "predict" / "pseudo-flat-0.lock"):
            held.set()
            done.wait()

    first = fork.Process(target=hold)
    first.start()
    held.wait()
    try:
        with pytest.raises(InputError, match=rf"pseudo-flat-0\.lock is held by process {first.pid}"):
            run_stage("pseudo", "r1")
    finally:
        done.set()
        first.join()


def test_a_round_says_what_made_it(home: Path) -> None:
    run_stage("pseudo", "r1")
    test = read_manifest(paths.MANIFEST, TEST)
    with h5py.File(_round("r1")) as file:
        assert {name: file.attrs[name] for name in ("labels", "weight")} == {"labels": "hard", "weight": 0.5}
        assert file.attrs["bounds"].tolist() == [0.3, 0.7]
        assert len(file.attrs["recipe"]) == 64
        for fold in (0, 1):
            digests = [digest_of(paths.weights(model, fold)) for model in ("flat", "deep")]
            assert list(file[f"labels/{fold}"].attrs["checkpoints"]) == digests
        assert len(set(file["labels/full"].attrs["checkpoints"])) == 4
        assert set(file["labels/full"]) == set(test.image_id)
    assert not _left()


def test_made_again_it_is_the_same_bytes_and_another_is_refused_its_name(home: Path) -> None:
    run_stage("pseudo", "r1")
    before = _round("r1").read_bytes()
    run_stage("pseudo", "r1")  # it is there
    _round("r1").unlink()
    run_stage("pseudo", "r1")
    assert _round("r1").read_bytes() == before
    _write_params(pseudo=PARAMS["pseudo"] | {"weight": 0.25})
    with pytest.raises(
        InputError, match=r"r1\.h5 is there and frozen, made of another weight; give the new round another"
    ):
        run_stage("pseudo", "r1")
    assert _round("r1").read_bytes() == before


def test_ended_between_two_networks_it_goes_on_to_the_same_bytes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_stage("pseudo", "r1")
    undisturbed = _round("r1").read_bytes()
    _round("r1").unlink()
    asked, own = [], asking.write

    def third_is_interrupted(path: Path, name: str, *rest: object) -> None:
        asked.append(name)
        if len(asked) == 3:
            raise KeyboardInterrupt
        own(path, name, *rest)

    monkeypatch.setattr(asking, "write", third_is_interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_stage("pseudo", "r1")
    assert not list(paths.ROUNDS.glob("*"))
    assert len(_left()) == 2
    run_stage("pseudo", "r1")
    assert asked == [f"pseudo-{name}" for name in ("flat-0", "deep-0", "flat-1", "flat-1", "deep-1")]
    assert _round("r1").read_bytes() == undisturbed
    assert not _left()


def test_what_another_network_has_said_is_not_taken(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained again after the interruption: its file is another one."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(freezing, "write_fit", _interrupt)
        run_stage("pseudo", "r1")
    assert len(_left()) == 2
    weights = paths.weights("flat", 0)
    about = read_about(weights)
    network = build_network(load_params().models["flat"], 1, 1, pretrained=False)
    torch.nn.init.zeros_(network.network.segmentation_head[0].weight)
    torch.nn.init.constant_(network.network.segmentation_head[0].bias, -9)
    save_checkpoint(weights, network, about)
    run_stage("pseudo", "r1")
    assert _values("r1")["0"] == [0]
    assert not _left()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_without_test_images_there_is_nothing_to_label(home: Path) -> None:
    manifest = read_manifest(paths.CLEAN)
    manifest[manifest.subset != TEST].to_csv(paths.CLEAN, index=False)
    with pytest.raises(InputError, match=r"no test images.*data\.test_images"):
        run_stage("pseudo", "r1")


@pytest.mark.parametrize("name", ["Round1", "r-1", "../r1", ""])
def test_a_bad_name_is_refused(home: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot name a round: take a-z, 0-9 and _"):
        run_stage("pseudo", name)


def test_what_a_round_needs_is_asked_for(home: Path) -> None:
    _write_params(pseudo=None)
    with pytest.raises(InputError, match=r"no section pseudo, such as \{labels: hard"):
        run_stage("pseudo", "r1")
    _write_params()
    paths.ROUNDS.mkdir()
    Path(f"{_round('r1')}.dvc").touch()
    with pytest.raises(InputError, match=r"r1\.h5 is not here: .*`dvc pull data/extra/r1\.h5\.dvc`"):
        run_stage("pseudo", "r1")


def test_a_network_that_has_seen_its_fold_makes_no_labels(home: Path) -> None:
    shutil.copy(paths.weights("flat", 0), paths.weights("flat", 1))
    with pytest.raises(InputError, match="the checkpoint of flat fold 0 has seen what it should predict"):
        run_stage("pseudo", "r1")
    assert not _round("r1").exists()


def _rows(model: str, fit: int | str) -> pd.DataFrame:
    return pd.read_csv(paths.extra_rows(model, fit))


def test_extra_rows_are_of_the_models_that_name_a_round(home: Path) -> None:
    run_stage("pseudo", "r1")
    _write_params({"deep": {"extra": ["r1"]}})
    run_stage("extra")
    fits = read_round(_round("r1")).fits
    for fold, positive in ((0, 1.0), (1, 0.0)):
        assert _rows("flat", fold).empty
        rows = _rows("deep", fold)
        assert set(rows.positive_fraction) == {positive} and set(rows["round"]) == {"r1"}
        assert set(rows.digest) == {fits[str(fold)].digest[:16]}
    assert not paths.extra_rows("deep", paths.FULL).exists()
    before = paths.extra_rows("deep", 0).read_bytes()
    _write_params({"deep": {"extra": ["r1"], "lr": 0.5}})
    run_stage("extra")
    assert paths.extra_rows("deep", 0).read_bytes() == before


def test_a_training_on_all_folds_has_labels_of_all_folds(home: Path) -> None:
    _write_params(pseudo=PARAMS["pseudo"] | {"bounds": [0.5, 0.5]})
    run_stage("pseudo", "r1")
    _write_params({"deep": {"extra": ["r1"]}}, train=PARAMS["train"] | {"full": ["deep"]})
    run_stage("extra")
    assert set(_rows("deep", paths.FULL).digest) == {read_round(_round("r1")).fits["full"].digest[:16]}
    assert not paths.extra_rows("flat", paths.FULL).exists()


def test_rounds_that_cannot_be_used_are_refused(home: Path) -> None:
    _write_params({"flat": {"extra": ["r9"]}})
    with pytest.raises(
        InputError, match=r"models\.flat\.extra names 'r9'; there are none.*python -m stages\.pseudo r9"
    ):
        run_stage("extra")
    _write_params()
    for name in ("r1", "r2"):
        run_stage("pseudo", name)
    _write_params({"flat": {"extra": ["r9"]}})
    with pytest.raises(InputError, match="there are r1, r2"):
        run_stage("extra")
    _write_params({"flat": {"extra": ["r1", "r2"]}})
    with pytest.raises(
        InputError, match=r"models\.flat\.extra: r1 and r2 both label .*name one of them alone, such as extra: \[r2\]"
    ):
        run_stage("extra")
    folds = read_folds(paths.FOLDS)
    folds.assign(fold=1 - folds.fold).drop(columns="part_id").to_csv(paths.FOLDS, index=False)
    _write_params({"flat": {"extra": ["r1"]}})
    with pytest.raises(InputError, match="round r1 would leak the held-out fold(?s:.)*made by flat fold 0, part"):
        run_stage("extra")


def test_a_round_trains_the_models_that_name_it_and_no_other(made: Path, tmp_path: Path) -> None:
    """By DVC: the outs of finished trainings are planted and committed."""
    home = Repository.create(tmp_path / "home", PARAMS)
    for folder in ("data", "folds", "checkpoints", "submissions"):
        shutil.copytree(made / folder, home.folder / folder, dirs_exist_ok=True)
    with inside(home.folder):
        run_stage("extra")
        for model, fold in SAYS:
            for path in (paths.record(model, fold), paths.history(model, fold), paths.first_batch(model, fold)):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("planted")
    home.run("dvc", "commit", "-f", "extra", "train")
    with pytest.MonkeyPatch.context() as patch, inside(home.folder):
        patch.setattr(pseudo, "refuse_stale", lambda: None)
        run_stage("pseudo", "r1")
    assert home.repro("-s", "extra") == {"extra"}
    assert _stale(home) == set(), "a round that nobody names"

    home.params["models"] = PARAMS["models"] | {"deep": PARAMS["models"]["deep"] | {"extra": ["r1"]}}
    home.write_params()
    assert home.repro("-s", "extra") == {"extra"}
    assert _stale(home) == {"train@deep-0", "train@deep-1"}

    home.commit()
    away = home.clone(tmp_path / "away")
    assert "r1.h5" in away.run("dvc", "list", ".", "data/extra").split(), "git knows what DVC tracks"


def _stale(home: Repository) -> set[str]:
    return set(json.loads(home.run("dvc", "status", "--json", "train")))

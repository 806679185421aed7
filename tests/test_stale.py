"""Commands that a person runs after `tune` stop where it would run again."""

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from closure import ROOT
from repository import Repository, inside, run_stage, toy_params

from stages import audit, diagnose
from stages.dvc import refuse_stale
from tessera import paths
from tessera.errors import InputError

PARAMS = toy_params() | {"pseudo": {"labels": "hard", "bounds": [0.3, 0.7], "weight": 0.5}}
UPSTREAM = ("ingest", "tile", "clean", "fold", "extra", "train", "oof", "tune")
ROUND = Path("data/extra/r1.h5")


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository in which DVC takes the planted outs of all stages for those of now."""
    home = Repository.create(tmp_path_factory.mktemp("home"), PARAMS)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    outs = [out for name in UPSTREAM for out in stages[name]["outs"] if name != "extra"]
    for out in [*outs, str(paths.extra_rows("${item.model}", "${item.fold}"))]:
        for model, fold in itertools.product(PARAMS["train"]["models"], PARAMS["fold"]["run"]):
            path = home.folder / out.replace("${item.model}", model).replace("${item.fold}", str(fold))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"planted {path.name}")
    home.run("dvc", "commit", "-f", "--with-deps", "tune")
    return home


@pytest.fixture
def home(committed: Repository, tmp_path: Path) -> Iterator[Repository]:
    """A copy of its own, in whose folder the test runs."""
    shutil.copytree(committed.folder, tmp_path / "home")
    with inside(tmp_path / "home"):
        yield Repository(tmp_path / "home", PARAMS)


def test_what_tune_read_is_of_now_until_it_changes(home: Repository) -> None:
    refuse_stale()
    paths.oof("deep", 1).write_text("another")
    with pytest.raises(InputError, match=r"recipe\.json is not of now: run `dvc repro tune`, for which .*oof@deep-1"):
        refuse_stale()


def test_a_score_that_tune_did_not_see_is_stale(home: Repository) -> None:
    home.params["score"] = PARAMS["score"] | {"average": "per_image"}
    home.write_params()
    with pytest.raises(InputError, match="run `dvc repro tune`, for which tune would run"):
        refuse_stale()


def test_a_round_that_no_network_has_seen_is_not_stale_but_has_to_be_here(home: Repository) -> None:
    ROUND.write_text("labels")
    home.run("dvc", "add", str(ROUND))
    refuse_stale()
    ROUND.unlink()
    with pytest.raises(
        InputError, match=r"^data/extra/r1\.h5 is not here: `dvc checkout data/extra/r1\.h5\.dvc`.*`dvc pull"
    ):
        refuse_stale()


@pytest.mark.parametrize("run", [audit.main, lambda: diagnose.main(leaderboard=0.5), lambda: run_stage("pseudo", "r1")])
def test_each_command_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: object) -> None:
    changed = {"tune": [{"changed deps": {"oof": "modified"}}]}
    monkeypatch.setattr("stages.dvc.dvc", lambda *arguments: json.dumps(changed))
    with inside(tmp_path, PARAMS), pytest.raises(InputError, match="run `dvc repro tune`, for which tune would run"):
        run()

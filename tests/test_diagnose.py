"""`python -m stages.diagnose` on a toy competition whose networks were really trained."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from repository import SOURCE, TOY_SAMPLE, inside, run_stage, toy_params

from stages import audit, diagnose
from stages.command import command
from stages.diagnose import main
from tessera import paths
from tessera.data.sample import write_sample
from tessera.decide.decision import EVERYWHERE, Decision


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that diagnose reads."""
    folder, params = tmp_path_factory.mktemp("diagnose"), toy_params()
    params["train"]["models"] = params["tune"]["ensemble"] = ["deep"]
    with inside(folder, params):
        write_sample(Path(SOURCE), **TOY_SAMPLE)
        for stage in ("ingest", "tile", "clean", "fold", "extra"):
            run_stage(stage)
        for fold in params["fold"]["run"]:
            run_stage("train", "deep", fold)
            run_stage("oof", "deep", fold)
        decision = Decision({"deep": 1.0}, ["identity"], "probabilities", "threshold", "", {EVERYWHERE: [120]}, {})
        paths.RECIPE.parent.mkdir()
        paths.RECIPE.write_text(json.dumps({"decision": vars(decision)}))
    return folder


def _said(folder: Path, capsys: pytest.CaptureFixture[str], leaderboard: float, items: int) -> dict[str, float]:
    """What diagnose prints: the score of each bug, in its order, and its last line."""
    capsys.readouterr()
    with inside(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(diagnose, "refuse_stale", lambda: None)
        main(leaderboard=leaderboard, items=items)
        assert not list(paths.SCRATCH.glob("diagnose*"))
    *lines, last = capsys.readouterr().out.splitlines()
    found = [re.match(r"[→ ] (.*?) +(\d\.\d{4})  [\d–]", line) for line in lines]
    return {one[1]: float(one[2]) for one in found if one} | {"last": last}


def test_each_bug_is_scored_and_the_planted_one_is_named(predicted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = _said(predicted, capsys, 0.5, 2)
    assert {"as decided", "inverted", "rotated by 90°", "thresholds +0.05", "shifted by 0.5 px down"} < set(said)
    of_networks = [name for name in said if name.startswith("input")]
    assert [re.sub(r"\d+ rows", "n rows", name) for name in sorted(of_networks)] == [
        "input of 0…1, without mean and std (n rows)", "input of 0…255, not normalised (n rows)",
    ]  # fmt: skip
    assert any(said[name] != said["as decided"] for name in of_networks)

    again = _said(predicted, capsys, said["inverted"], 0)
    assert not [name for name in again if name.startswith("input")]
    assert "inverted" in again["last"]
    assert "inverted" in list(again)[:2]


@pytest.mark.parametrize(
    ("given", "expected"),
    [(["a", "--leaderboard", "0.34"], ("a", 0.34, 3)), (["--items", "5", "b", "--leaderboard", "1"], ("b", 1.0, 5))],
)
def test_keyword_only_arguments_are_options(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: list[str], expected: tuple
) -> None:
    found = []

    def stage(name: str, *, leaderboard: float, items: int = 3) -> None:
        found.append((name, leaderboard, items))

    _call(stage, given, monkeypatch, tmp_path)
    assert found == [expected]


def test_an_option_without_a_default_is_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stage(*, leaderboard: float) -> None: ...

    with pytest.raises(SystemExit):
        _call(stage, [], monkeypatch, tmp_path)
    assert "required: --leaderboard" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stage", "given", "said"),
    [
        *((audit.main, ["--shown", text], "--shown: .*expected 1 or more") for text in ("0", "-3")),
        *(
            (main, ["--leaderboard", text], rf"--leaderboard: {text}: expected a score of 0…1; 80\.5 % is 0\.805")
            for text in ("nan", "inf", "-1", "80.5")
        ),
    ],
)
def test_an_option_beyond_what_it_may_be_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    stage: Callable,
    given: list,
    said: str,
) -> None:
    with pytest.raises(SystemExit):
        _call(stage, given, monkeypatch, tmp_path)
    assert re.search(said, capsys.readouterr().err)


def _call(stage: Callable, given: list[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(toy_params()))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["stage", *given])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", SimpleNamespace(name="stages.stage"), raising=False)
    command(stage)

"""Which finished trainings an edit of code lets stay; the whole, with DVC, is in test_end_to_end."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from stages import keep
from tessera import paths
from tessera.errors import InputError
from tessera.learn.known import SHOWN, unseen


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that writes a run record of fold 0; a probe of now agrees with it."""
    probed = dict.fromkeys(SHOWN, "a") | {"given": {"lr": 0.1}, "on": {}}
    fit = SimpleNamespace(said={"params": {}}, training=lambda machine: None, material=None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keep.train, "prepare", lambda model, fold: fit)
    monkeypatch.setattr(keep, "probe", lambda training, material: probed)

    def write(model: str = "m", **keys: object) -> None:
        path = paths.record(model, 0)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"params": {}, "loader": "workers", "ranks": 1, "probe": probed} | keys))

    return write


@pytest.mark.parametrize(
    ("ran", "file", "said"),
    [
        ({"loader": "device"}, "tessera/learn/on_device/hue.py", "made on the device"),
        ({"loader": "device"}, "tessera/learn/loop.py", ""),
        ({}, "tessera/learn/on_device/hue.py", ""),
        ({}, "data/extra_rows/m/fold_0.csv", ""),
        ({"ranks": 2}, "tessera/learn/ranks.py", "trained by 2 ranks"),
        ({"ranks": 2}, "tessera/learn/launch.py", "trained by 2 ranks"),
        ({"ranks": 2}, "tessera/learn/loop.py", ""),
        ({}, "tessera/learn/ranks.py", ""),
    ],
)
def test_what_ran_on_a_device_or_in_ranks_is_not_judged_by_one_process_on_a_cpu(
    trained: Callable, ran: dict, file: str, said: str
) -> None:
    trained(**ran)
    reason = keep._reason("train@m-0", [{"changed deps": {file: "modified"}}])
    assert said in reason and file in reason if said else reason == ""


@pytest.mark.parametrize("late", [False, True], ids=["prepare", "probe"])
def test_a_training_that_cannot_be_begun_is_listed_and_the_others_go_on(
    trained: Callable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, late: bool
) -> None:
    """Say, a file of weights has gone since."""

    def lacks(*_: object) -> None:
        raise InputError("weights/w.pth: no such file\nput it there")

    trained(), trained(model="n")
    prepare, asked = keep.train.prepare, []
    broken = SimpleNamespace(said={"params": {}}, training=lacks)
    begin = {"m": (lambda *_: broken) if late else lacks, "n": prepare}
    monkeypatch.setattr(keep.train, "prepare", lambda model, fold: begin[model](model, fold))
    changed = {f"train@{model}-0": [{"changed deps": {"tessera/learn/loop.py": "modified"}}] for model in "mn"}
    monkeypatch.setattr(keep, "dvc", lambda *words: asked.append(words) or json.dumps(changed))
    keep.main("train")
    said = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1) for line in said] == [
        ["train@m-0", "runs again: it cannot be begun here: weights/w.pth: no such file"],
        ["train@n-0", "kept"],
    ]
    assert asked[1:] == [("commit", "-f", "train@n-0")]


def test_before_there_were_ranks_there_was_one() -> None:
    assert unseen({"loader": "workers"}, ["tessera/learn/ranks.py"]) == ""

"""Which finished trainings an edit of code lets stay; the whole, with DVC, is in test_end_to_end."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from stages import keep
from tessera import paths
from tessera.learn.known import SHOWN, unseen


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that writes a run record of m, fold 0; a probe of now agrees with it."""
    probed = dict.fromkeys(SHOWN, "a") | {"given": {"lr": 0.1}, "on": {}}
    fit = SimpleNamespace(said={"params": {}}, training=lambda machine: None, material=None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keep.train, "prepare", lambda model, fold: fit)
    monkeypatch.setattr(keep, "probe", lambda training, material: probed)

    def write(**keys: object) -> None:
        path = paths.record("m", 0)
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


def test_before_there_were_ranks_there_was_one() -> None:
    assert unseen({"loader": "workers"}, ["tessera/learn/ranks.py"]) == ""

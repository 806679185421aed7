import os
from pathlib import Path

import pytest
import torch

from tessera.learn import resume
from tessera.learn.resume import load_state, run_key, save_state

STATE = {"network": {"w": torch.arange(4.0)}, "epoch": 3, "history": [{"loss": 0.5, "score": None}], "best": None}


def test_a_state_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "made" / "on_demand" / "state.pt"
    save_state(path, STATE)
    found = load_state(path, print)
    assert torch.equal(found.pop("network")["w"], STATE["network"]["w"])
    assert found == {key: value for key, value in STATE.items() if key != "network"}
    assert [one.name for one in path.parent.iterdir()] == ["state.pt"]


def test_there_is_no_state_at_first(tmp_path: Path) -> None:
    assert load_state(tmp_path / "state.pt", print) is None


@pytest.mark.parametrize("step", ["save", "fsync", "replace"])
def test_killed_while_writing_the_old_state_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "state.pt"
    save_state(path, STATE)
    monkeypatch.setattr(*{"save": (torch, "save"), "fsync": (os, "fsync"), "replace": (os, "replace")}[step], killed)
    with pytest.raises(KeyboardInterrupt):
        save_state(path, STATE | {"epoch": 4})
    monkeypatch.undo()
    assert load_state(path, print)["epoch"] == 3
    save_state(path, STATE | {"epoch": 4})
    assert load_state(path, print)["epoch"] == 4


def test_the_key_changes_with_what_the_run_belongs_to_and_with_nothing_else() -> None:
    said = {"params": {"lr": 1e-3, "epochs": 4}, "data_digest": "d", "parts": [["a", 0, 3]]}
    key = run_key(said)
    assert key == run_key(dict(reversed(said.items())))
    changed = [
        said | {"params": {"lr": 2e-3, "epochs": 4}}, said | {"data_digest": "e"}, said | {"parts": [["a", 0, 2]]},
    ]  # fmt: skip
    assert len({key, *map(run_key, changed)}) == 4


def test_the_key_changes_with_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "loop.py"
    monkeypatch.setattr(resume, "_own_modules", lambda: {"tessera.loop": code})
    keys = []
    for text in ("one", "two", "one"):
        code.write_text(text)
        keys.append(run_key({}))
    assert keys[0] == keys[2] != keys[1]


def test_the_code_is_ours_alone() -> None:
    names = {name.partition(".")[0] for name in resume._own_modules()}
    assert "tessera" in names
    assert names <= {"tessera", "stages"}

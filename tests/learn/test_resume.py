import errno
import importlib.util
import os
import re
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from tessera.errors import InputError
from tessera.learn import resume
from tessera.learn.resume import Keeper, load_state, run_key, save_state

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


def _full_device(path: Path) -> None:
    path.with_suffix(".new").symlink_to("/dev/full")


def _short_files(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))


@pytest.mark.parametrize("fill", [_full_device, _short_files], ids=["no space left", "file too large"])
def test_with_a_full_disk_the_old_state_stays(tmp_path: Path, fill: Callable[[Path], None]) -> None:
    path = tmp_path / "state.pt"
    save_state(path, STATE)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    fill(path)
    try:
        with pytest.raises(InputError) as error:
            save_state(path, STATE | {"epoch": 4, "best": {"w": torch.zeros(100_000)}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    bytes_needed, folder = re.search(r"([\d,]+) bytes are needed in (\S+), [\d,]+ are free", str(error.value)).groups()
    assert 400_000 < int(bytes_needed.replace(",", "")) < 420_000
    assert folder == str(tmp_path)
    assert load_state(path, print)["epoch"] == 3
    assert [one.name for one in tmp_path.iterdir()] == ["state.pt"]


def test_with_no_room_even_for_a_folder_the_error_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "mkdir", full)
    said = rf"No space left on device\): [\d,]+ bytes are needed in {tmp_path}, [\d,]+ are free\. Make room"
    with pytest.raises(InputError, match=said):
        save_state(tmp_path / "a" / "b" / "state.pt", STATE)


def test_with_both_states_damaged_it_says_so_and_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    for _ in range(2):
        save_state(path, STATE)
    for one in tmp_path.iterdir():
        one.write_bytes(one.read_bytes()[:100])
    notes: list[str] = []
    assert load_state(path, notes.append) is None
    assert [note.split(" cannot be read")[0] for note in notes] == [str(path), str(path.with_suffix(".before"))]


@pytest.fixture(scope="module")
def two_states(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Where the states of the epochs 3 and 4 lie, the latter of 80 kB; and what that one is made of."""
    path = tmp_path_factory.mktemp("states") / "state.pt"
    for epoch in (3, 4):
        save_state(path, STATE | {"epoch": epoch, "best": {"w": torch.rand(20_000)}})
    return path, path.read_bytes()


def _comes_back(path: Path, content: bytes) -> dict:
    """The state after the last one was replaced by `content`, and was said to be damaged."""
    path.write_bytes(content)
    notes: list[str] = []
    found = load_state(path, notes.append)
    assert [note.split(":")[0] for note in notes] == [f"{path} cannot be read, it is damaged or cut off"]
    return found


@pytest.mark.parametrize("length", [*range(0, 70_000, 2048), 31, 32, 33, 4096, 8193, 80_000, -33, -32, -1])
def test_a_state_cut_off_anywhere_gives_way_to_the_one_before(two_states: tuple[Path, bytes], length: int) -> None:
    path, whole = two_states
    assert _comes_back(path, whole[:length])["epoch"] == 3


def test_damaged_bytes_give_way_to_the_state_before(two_states: tuple[Path, bytes]) -> None:
    path, whole = two_states
    for place in [*range(0, len(whole), 997), *range(len(whole) - 40, len(whole))]:
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        assert _comes_back(path, bytes(damaged))["epoch"] == 3


def test_a_damaged_state_never_takes_the_place_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gone back to the one before, then killed between the two renames of the next save."""
    path, rename = tmp_path / "state.pt", os.replace
    for epoch in (3, 4):
        save_state(path, STATE | {"epoch": epoch})
    path.write_bytes(path.read_bytes()[:100])
    assert load_state(path, print)["epoch"] == 3

    def killed_at_the_second(old: Path, new: Path) -> None:
        if new == path:
            raise KeyboardInterrupt
        rename(old, new)

    monkeypatch.setattr(os, "replace", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        save_state(path, STATE | {"epoch": 5})
    assert load_state(path, print)["epoch"] == 3


class Time:
    """A clock that goes on when it is told to."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Saving:
    """A keeper of a training whose state takes `copying` seconds to copy and `writing` to write; its tensor counts steps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: int, copying: float, writing: float = 0.0):
        self.time, self.copying, self.writing = Time(), copying, writing
        self.step, self.saved, self.may_write = torch.zeros(()), [], threading.Event()
        monkeypatch.setattr(resume, "save_state", self._write)
        self.keeper = Keeper(Path("state.pt"), seconds, self._state, self.time)
        self.may_write.set()

    def _state(self) -> dict:
        self.time.seconds += self.copying
        return {"step": self.step}

    def _write(self, path: Path, state: dict) -> None:
        assert self.may_write.wait(60)
        if state["step"] < 0:
            raise InputError("the disk is full")
        self.saved.append(state["step"].item())
        self.time.seconds += self.writing

    def steps(self, count: int) -> None:
        """Of a second each; what is due is written behind the step."""
        for _ in range(count):
            self.then_written(self.step_once)

    def step_once(self) -> None:
        self.time.seconds += 1
        self.step += 1
        self.keeper.after_step()

    def then_written(self, act: Callable[[], None]) -> None:
        self.may_write.clear()
        act()
        self.may_write.set()
        wait([self.keeper._writing])


@pytest.mark.parametrize(
    ("seconds", "copying", "between"),
    [(60, 0.1, 60), (60, 0.6, 75), (60, 2, 250), (0, 3, 375), (0, 0.0, 1), (60, 6, 600)],
)
def test_the_copy_takes_less_than_a_hundredth_of_the_time(
    monkeypatch: pytest.MonkeyPatch, seconds: int, copying: float, between: float
) -> None:
    saving = Saving(monkeypatch, seconds, copying)
    saving.steps(max(seconds, 1) + 3 * int(between + 1))
    assert len(saving.saved) >= 4
    assert saving.saved[0] == max(seconds, 1)
    assert all(after - before in (between, between + 1) for before, after in pairwise(saving.saved))


def test_one_copy_that_a_halt_made_long_does_not_put_off_the_next_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    saving = Saving(monkeypatch, 60, 0.1)
    saving.steps(60)
    saving.copying = 20
    saving.steps(65)
    saving.copying = 0.1
    saving.steps(700)
    between = [after - before for before, after in pairwise(saving.saved)]
    assert between[0] in (60, 61)
    assert between[1] in (600, 601)
    assert between[2] in (60, 61)


@pytest.mark.parametrize(("copying", "writing", "soonest"), [(0.1, 0.1, 25), (0.1, 30, 60), (1, 30, 125)])
def test_an_epoch_is_saved_unless_that_costs_too_much_so_soon(
    monkeypatch: pytest.MonkeyPatch, copying: float, writing: float, soonest: float
) -> None:
    saving = Saving(monkeypatch, 60, copying, writing)
    saving.steps(60)
    at = saving.keeper.saved
    for seconds, count in ((soonest - 1, 1), (soonest, 2)):
        saving.time.seconds = at + seconds + 1e-6
        saving.then_written(lambda: saving.keeper.after_epoch(last=False))
        assert len(saving.saved) == count
    saving.keeper.after_epoch(last=True)
    assert len(saving.saved) == 3


def test_training_goes_on_while_its_state_is_written_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    saving = Saving(monkeypatch, 10, 0)
    saving.then_written(lambda: [saving.step_once() for _ in range(35)])
    assert saving.saved == [10]
    saving.keeper.after_epoch(last=True)
    assert saving.saved == [10, 35]


@pytest.mark.parametrize("last", [False, True])
def test_what_cannot_be_written_ends_the_training(monkeypatch: pytest.MonkeyPatch, last: bool) -> None:
    saving = Saving(monkeypatch, 10, 0)
    saving.step -= 1000
    with pytest.raises(InputError, match="the disk is full"):
        if last:
            saving.keeper.after_epoch(last=True)
        else:
            saving.steps(11)


def test_however_training_ends_what_is_being_written_is_written(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "state.pt", 0, lambda: STATE)
    with pytest.raises(ZeroDivisionError), keeper.listening():
        keeper.after_step()
        raise ZeroDivisionError
    assert [one.name for one in tmp_path.iterdir()] == ["state.pt"]


@pytest.fixture
def in_front() -> Iterator[None]:
    """SIGINT as it is in front of a terminal: what a shell starts behind it ignores that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("in_front")
def test_a_second_signal_is_not_waited_for(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "state.pt", 60, lambda: STATE)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), keeper.listening():
        os.kill(os.getpid(), signal.SIGINT)
        assert keeper.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert not keeper.path.exists()
        keeper.after_step()
    assert signal.getsignal(signal.SIGINT) is before
    assert keeper.path.exists()


def test_a_wish_to_end_behind_the_last_step_is_one_too(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "state.pt", 60, lambda: STATE)
    with pytest.raises(KeyboardInterrupt), keeper.listening():
        keeper.after_epoch(last=True)
        keeper.path.unlink()
        os.kill(os.getpid(), signal.SIGTERM)
    assert keeper.path.exists()


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


def test_the_stage_that_was_started_is_code_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m stages.train` runs it under the name __main__."""
    spec = importlib.util.find_spec("stages.train")
    monkeypatch.setitem(sys.modules, "__main__", importlib.util.module_from_spec(spec))
    monkeypatch.delitem(sys.modules, "stages.train", raising=False)
    assert resume._own_modules()["stages.train"] == Path(spec.origin)


def test_the_code_is_ours_alone() -> None:
    names = {name.partition(".")[0] for name in resume._own_modules()}
    assert "tessera" in names
    assert names <= {"tessera", "stages"}

import pytest
import torch

from tessera import machine
from tessera.errors import InputError
from tessera.machine import Machine

NAMES = ("TESSERA_WORKERS", "TESSERA_SAVE_SECONDS", "TESSERA_COMPILE")


@pytest.fixture(autouse=True)
def on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_DEVICE", "cpu")
    for name in (*NAMES, "TESSERA_LOADER", "TESSERA_RANKS", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def test_a_minute_between_saves_is_the_default() -> None:
    assert machine.here() == Machine(torch.device("cpu"), workers=0, save_seconds=60, compile=False)


def test_variables_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(NAMES, ("3", "600", "1"), strict=True):
        monkeypatch.setenv(name, value)
    assert machine.here() == Machine(torch.device("cpu"), workers=3, save_seconds=600, compile=True)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["soon", "²"])
def test_a_variable_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(InputError, match=f"{name}={text}: a whole number"):
        machine.here()


@pytest.mark.parametrize("name", ["workers", "device", "auto"])
def test_a_loader_is_chosen_by_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("TESSERA_LOADER", name)
    assert machine.here().loader == name


def test_a_loader_that_is_not_known_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_LOADER", "gpu")
    with pytest.raises(InputError, match="TESSERA_LOADER=gpu: workers, device or auto"):
        machine.here()


def test_every_variable_is_listed() -> None:
    assert {*NAMES, "TESSERA_LOADER", "TESSERA_RANKS"} <= machine.VARIABLES.keys()


def test_one_process_trains_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.ranks_here() == 1
    monkeypatch.setenv("TESSERA_RANKS", "4")
    assert machine.ranks_here() == 4
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(InputError, match="TESSERA_RANKS=4: torchrun has started 2 processes here already"):
        machine.ranks_here()


def test_ranks_share_threads_and_loading_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 12)
    monkeypatch.setenv("TESSERA_THREADS", "5")
    assert (machine.threads(), machine.workers(torch.device("cuda"))) == (5, 8)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert (machine.threads(), machine.workers(torch.device("cuda"))) == (2, 6)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert (machine.threads(), machine.workers(torch.device("cuda"))) == (1, 1)


@pytest.mark.parametrize("ranks", ["1", "2"])
def test_each_rank_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch, ranks: str) -> None:
    asked, original = [], torch.empty
    monkeypatch.setattr(torch, "empty", lambda *_, device: asked.append(device) or original(0))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("TESSERA_DEVICE", "cuda")
    machine.device()
    assert asked == ["cuda:1" if ranks == "2" else "cuda"]


def test_one_gpu_is_not_for_two_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("TESSERA_DEVICE", "cuda:1")
    with pytest.raises(
        InputError, match="TESSERA_DEVICE=cuda:1: is one device for 2 processes; cuda gives each its own"
    ):
        machine.device()

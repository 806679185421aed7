import pytest
import torch

from tessera import machine
from tessera.errors import InputError
from tessera.machine import Machine

NAMES = ("TESSERA_WORKERS", "TESSERA_SAVE_SECONDS", "TESSERA_COMPILE")


@pytest.fixture(autouse=True)
def on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_DEVICE", "cpu")
    for name in (*NAMES, "TESSERA_LOADER"):
        monkeypatch.delenv(name, raising=False)


def test_a_minute_between_saves_is_the_default() -> None:
    assert machine.here() == Machine(torch.device("cpu"), workers=0, save_seconds=60, compile=False)


def test_variables_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(NAMES, ("3", "600", "1"), strict=True):
        monkeypatch.setenv(name, value)
    assert machine.here() == Machine(torch.device("cpu"), workers=3, save_seconds=600, compile=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_variable_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "soon")
    with pytest.raises(InputError, match=f"{name}=soon: a whole number"):
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
    assert {*NAMES, "TESSERA_LOADER"} <= machine.VARIABLES.keys()

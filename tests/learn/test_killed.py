"""A training that is killed anywhere goes on to the same bytes."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from threading import Timer

import numpy as np
import pandas as pd
import pytest
import torch

from tessera.data.boxes import BOX
from tessera.data.pixels import PixelStore
from tessera.learn import resume
from tessera.learn.checkpoints import save_checkpoint
from tessera.learn.progress import Clock
from tessera.learn.resume import Keeper
from tessera.learn.run import Run
from tessera.learn.training import Material, Training
from tessera.machine import Machine
from tessera.params.model import Model
from tessera.tasks import Binary

EPOCHS, STEPS = 3, 4  # of two windows of nine patches
SMALL = {"decoder_dropout": 0.5, "decoder_pyramid_channels": 16, "decoder_segmentation_channels": 32}
FORK = multiprocessing.get_context("fork")  # torch is imported already


class Watched(Clock):
    """Remembers where a run went on and what it did; calls `at_step` after each step."""

    def __init__(self, at_step: Callable[[int], None] = lambda step: None):
        super().__init__("tiny", EPOCHS)
        self.at_step, self.notes = at_step, []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self) -> None:
        super().step()
        self.at_step(self.steps)

    @property
    def gone_on(self) -> str:
        return next((text for text in self.notes if text.startswith("goes on")), "")


SAVE = Keeper.save


@pytest.fixture(autouse=True)
def saving_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each save is written before the next step."""

    def save(self: Keeper) -> None:
        SAVE(self)
        self.finish()

    monkeypatch.setattr(Keeper, "save", save)
    monkeypatch.setattr(resume, "COST", float("inf"))
    monkeypatch.setattr(os, "fsync", lambda file: None)  # which a killed process does not need, but a power cut


@pytest.fixture
def train(pixel_store: Callable[..., PixelStore], model: Callable[..., Model], tmp_path: Path) -> Callable[..., Run]:
    """A function that trains a network with dropout, batch-norm and EMA; its state lies in tmp_path/<name>."""
    rng = np.random.default_rng(0)
    path = pixel_store({name: rng.integers(0, 256, (1, 64, 64, 1), np.uint8) for name in "ab"}).path
    places = [("a", 0, y, x) for y in (0, 16, 32) for x in (0, 16, 32)]
    patches = pd.DataFrame(places, columns=["image_id", "z", "y", "x"]).assign(positive_fraction=0.3)
    held_out = pd.DataFrame([("b", 0, 1, 0, 64, 0, 64)], columns=BOX)
    section = model(
        decoder="FPN", arguments=SMALL, epochs=EPOCHS, ema=0.9, clip=1.0, keep="mean_of_best", keep_epochs=2,
        loss={"bce": 1.0, "dice": 1.0}, augment={"rotate": 15}, mix={"mixup": 0.4, "cutmix": 0.4},
    )  # fmt: skip

    def fit(name: str, clock: Clock | None = None, workers: int = 0) -> Run:
        torch.set_num_threads(1)
        here = Machine(torch.device("cpu"), workers, save_seconds=0)
        training = Training(section, Binary(["a"]), "none", here)
        material = Material(PixelStore(path), patches, 32, 1)
        return training.fit(material, held_out, tmp_path / name / "state.pt", clock or Watched())

    return fit


def written(run: Run, path: Path) -> bytes:
    """The checkpoint, without the times in the history."""
    losses = [(row["loss"], row["score"], row["images"]) for row in run.history]
    last = b"".join(tensor.numpy().tobytes() for tensor in run.ema.network.state_dict().values())
    run.kept.finish(run.ema.network)
    save_checkpoint(path, run.ema.network, {"losses": losses, "best": run.kept.best_score})
    return path.read_bytes() + last


@pytest.fixture(scope="module")
def kept() -> dict[str, bytes]:
    return {}


@pytest.fixture
def undisturbed(train: Callable, kept: dict[str, bytes], tmp_path: Path) -> bytes:
    """What a training writes that nobody disturbs: one for all tests."""
    return kept.get("whole") or kept.setdefault("whole", written(train("whole"), tmp_path / "whole.safetensors"))


class Killed(BaseException):
    """Stands for a process that ends without a word."""


@pytest.mark.parametrize("workers", [0, 2])
def test_ended_at_any_step_it_goes_on_to_the_same_bytes(
    train: Callable, undisturbed: bytes, tmp_path: Path, workers: int
) -> None:

    def ending_after(last: int) -> Callable[[int], None]:
        def at_step(step: int) -> None:
            if step == last:
                raise Killed

        return at_step

    gone_on = []
    for steps in (3, 2, 4):  # the last of them is not saved
        clock = Watched(ending_after(steps))
        with pytest.raises(Killed):
            train("cut", clock, workers)
        gone_on.append(clock.gone_on)
    clock = Watched()
    assert written(train("cut", clock, workers), tmp_path / "cut.safetensors") == undisturbed
    assert [*gone_on, clock.gone_on] == [
        "", "goes on in epoch 1 after step 2 of 4", "goes on in epoch 1 after step 3 of 4",
        "goes on in epoch 2 after step 2 of 4",
    ]  # fmt: skip
    assert clock.steps == EPOCHS * STEPS - 6


def _child(train: Callable, out: Path, workers: int, prepare: Callable[[], None] | None) -> None:
    if prepare:
        prepare()
    out.write_bytes(written(train("cut", workers=workers), out.with_suffix(".safetensors")))


def run_child(train: Callable, out: Path, workers: int = 0, prepare: Callable | None = None) -> int:
    """Trains in a process of its own, which writes `out` at the end; its exit code, negative for a signal."""
    process = FORK.Process(target=_child, args=(train, out, workers, prepare))
    process.start()
    process.join()
    return process.exitcode


def _dying(steps: int, seconds: float, state: Path) -> Callable[[Clock], None]:
    """A `Clock.step` whose process is killed some seconds after so many steps, and ends no step later than the next."""

    def step(self: Clock) -> None:
        Clock.step(self)
        while self.steps == 2 and not state.exists():  # the thread that writes the first step's is slow
            time.sleep(0.001)
        if self.steps == steps:
            Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
        if self.steps > steps:
            signal.pause()

    return step


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_at_random_moments_it_ends_with_the_same_bytes(
    train: Callable, undisturbed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """While it trains on and writes, too."""
    monkeypatch.setattr(Keeper, "save", SAVE)
    draw, out, state = random.Random(workers), tmp_path / "out", tmp_path / "cut" / "state.pt"
    for _ in range(EPOCHS * STEPS // 3):  # each ends within three steps, so none is the last
        step = _dying(draw.randint(1, 2), draw.uniform(0, 0.05), state)  # about a step with its save
        assert run_child(train, out, workers, partial(setattr, Watched, "step", step)) == -signal.SIGKILL
    clock = Watched()
    assert written(train("cut", clock, workers), tmp_path / "cut.safetensors") == undisturbed
    assert clock.gone_on


@pytest.mark.parametrize("when", ["written", "first rename", "second rename"])
def test_killed_in_the_middle_of_saving(train: Callable, undisturbed: bytes, tmp_path: Path, when: str) -> None:
    name, calls = {"written": ("fsync", 6), "first rename": ("replace", 7), "second rename": ("replace", 8)}[when]
    original, left = getattr(os, name), iter(range(calls - 1))

    def prepare() -> None:
        def deadly(*arguments: object) -> None:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            original(*arguments)

        setattr(os, name, deadly)

    assert run_child(train, tmp_path / "out", 0, prepare) == -signal.SIGKILL
    assert (tmp_path / "cut" / "state.new").exists()
    assert run_child(train, tmp_path / "out") == 0
    assert (tmp_path / "out").read_bytes() == undisturbed


def test_asked_to_end_while_the_last_epoch_is_told_it_ends_and_has_nothing_left_to_train(
    train: Callable, undisturbed: bytes, tmp_path: Path
) -> None:
    class Telling(Watched):
        def say(self, row: dict) -> None:
            super().say(row)
            if row["epoch"] == EPOCHS:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        train("cut", Telling())
    clock = Watched()
    assert written(train("cut", clock), tmp_path / "cut.safetensors") == undisturbed
    assert clock.steps == 0


def _the_group(number: int) -> None:
    """As Ctrl-C in a terminal does."""
    os.killpg(0, number)


def _every_process(number: int) -> None:
    """As systemd, slurm or the end of a container do, from outside; here it comes to those that load first."""
    loading = multiprocessing.active_children()
    outside = FORK.Process(target=lambda: [os.kill(process.pid, number) for process in loading])
    outside.start()
    outside.join()
    wait([process.sentinel for process in loading], timeout=0.5)
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("ask", "number"),
    [(_the_group, signal.SIGTERM), (_the_group, signal.SIGINT), (_every_process, signal.SIGTERM)],
)
def test_asked_to_end_it_saves_first(
    train: Callable,
    undisturbed: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable,
    number: int,
    workers: int,
) -> None:
    """No save was due."""
    monkeypatch.setattr(resume, "COST", 1e-9)
    before = signal.getsignal(number)

    def prepare() -> None:
        def end(self: Clock) -> None:
            Clock.step(self)
            if self.steps == 7:
                ask(number)

        os.setpgid(0, 0)
        Watched.step = end

    assert run_child(train, tmp_path / "out", workers, prepare) == 1  # KeyboardInterrupt
    assert signal.getsignal(number) is before
    clock = Watched()
    assert written(train("cut", clock), tmp_path / "cut.safetensors") == undisturbed
    assert clock.gone_on == "goes on in epoch 2 after step 3 of 4"
    assert clock.steps == EPOCHS * STEPS - 7


def test_asked_to_end_while_it_scores_it_scores_again(
    train: Callable, undisturbed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Binary.probabilities

    def ending(self: Binary, logits: torch.Tensor) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGTERM)
        return original(self, logits)

    monkeypatch.setattr(Binary, "probabilities", ending)
    with pytest.raises(KeyboardInterrupt):
        train("cut")
    monkeypatch.undo()
    clock = Watched()
    assert written(train("cut", clock), tmp_path / "cut.safetensors") == undisturbed
    assert clock.gone_on == f"goes on in epoch 1 after step {STEPS} of {STEPS}"


@pytest.mark.parametrize("damage", ["cut short", "empty", "noise"])
def test_a_damaged_state_falls_back_to_the_one_before(
    train: Callable, undisturbed: bytes, tmp_path: Path, damage: str
) -> None:

    def at_step(step: int) -> None:
        if step == 6:
            raise Killed

    with pytest.raises(Killed):
        train("cut", Watched(at_step))
    state = tmp_path / "cut" / "state.pt"
    content = state.read_bytes()
    noise = content[:5000] + bytes(1000) + content[6000:]
    state.write_bytes({"cut short": content[: len(content) // 2], "empty": b"", "noise": noise}[damage])
    clock = Watched()
    assert written(train("cut", clock), tmp_path / "cut.safetensors") == undisturbed
    assert clock.gone_on == "goes on in epoch 2 after step 0 of 4"
    assert [text for text in clock.notes if f"{state} cannot be read" in text]

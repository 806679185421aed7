"""A tiny network on two images whose bright squares are the class."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tessera.data.boxes import BOX
from tessera.data.pixels import PixelStore
from tessera.errors import InputError
from tessera.learn.loop import Run
from tessera.learn.losses.build import LOSSES
from tessera.learn.training import Training
from tessera.params.model import Model
from tessera.tasks import Binary

CPU = torch.device("cpu")


@pytest.fixture
def store(pixel_store: Callable[..., PixelStore]) -> PixelStore:
    rng = np.random.default_rng(0)
    labels = np.zeros((1, 64, 64), np.uint8)
    labels[:, 16:40, 20:52] = 1
    pixels = {name: 80 + 90 * labels[..., None] + rng.integers(0, 40, (1, 64, 64, 1), np.uint8) for name in "ab"}
    return pixel_store(pixels, dict.fromkeys(pixels, labels))


def fit(store: PixelStore, model: Model, state: Path, amp: str = "none", say: Callable = lambda row: None) -> Run:
    places = [("a", 0, y, x) for y in (0, 16, 32) for x in (0, 16, 32)]
    patches = pd.DataFrame(places, columns=["image_id", "z", "y", "x"]).assign(positive_fraction=0.3)
    held_out = pd.DataFrame([("b", 0, 1, 0, 64, 0, 64)], columns=BOX)
    torch.set_num_threads(1)
    return Training(model, Binary(["a"]), CPU, amp, workers=0).fit(store, patches, held_out, 32, 1, state, say)


def same(one: Run, other: Run) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(*(run.ema.network.state_dict().values() for run in (one, other)), strict=True)
    )


@pytest.mark.parametrize("amp", ["none", "bf16", "fp16"])
def test_it_learns_at_every_precision(store: PixelStore, model: Callable, tmp_path: Path, amp: str) -> None:
    run = fit(store, model(epochs=8, batch=3, lr=1e-2, loss={"bce": 1.0, "dice": 1.0}), tmp_path / "state.pt", amp)
    losses = [row["loss"] for row in run.history]
    assert losses[-1] < 0.5 * losses[0]
    assert run.history[-1]["score"] > 0.8
    assert {tensor.dtype for tensor in run.network.parameters()} == {torch.float32}


def test_a_sum_of_all_losses_and_a_head_for_empty_windows_learn(
    store: PixelStore, model: Callable, tmp_path: Path
) -> None:
    loss = dict.fromkeys(LOSSES, 0.3) | {"fbeta": {"weight": 0.3, "beta": 2}}
    section = model(epochs=8, batch=3, lr=1e-2, loss=loss, auxiliary={"empty": 0.1})
    run = fit(store, section, tmp_path / "state.pt", "bf16")
    assert run.history[-1]["loss"] < 0.6 * run.history[0]["loss"]
    assert run.history[-1]["score"] > 0.8


def test_stopped_after_an_epoch_it_goes_on_to_the_same_weights(
    store: PixelStore, model: Callable, tmp_path: Path
) -> None:
    def stop(row: dict) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    section = model(epochs=4, ema=0.9, clip=1.0, loss={"bce": 1.0, "dice": 1.0})
    undisturbed = fit(store, section, tmp_path / "one.pt")
    with pytest.raises(KeyboardInterrupt):
        fit(store, section, tmp_path / "two.pt", say=stop)
    seen: list[int] = []
    resumed = fit(store, section, tmp_path / "two.pt", say=lambda row: seen.append(row["epoch"]))
    assert seen == [3, 4]
    assert same(resumed, undisturbed)
    assert [row["loss"] for row in resumed.history] == [row["loss"] for row in undisturbed.history]


def test_keep_best_remembers_the_epoch_that_scored_best(store: PixelStore, model: Callable, tmp_path: Path) -> None:
    run = fit(store, model(epochs=3, keep="best"), tmp_path / "state.pt")
    assert run.best_score == max(row["score"] for row in run.history)
    assert run.best.keys() == run.ema.network.state_dict().keys()
    assert fit(store, model(epochs=1), tmp_path / "last.pt").best is None


def test_a_loss_that_is_no_number_stops_the_run(store: PixelStore, model: Callable, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the loss is (nan|inf) in epoch \d+ after \d+ images, at learning rate"):
        fit(store, model(epochs=6, lr=1e30), tmp_path / "state.pt")


def test_epochs_between_validations_have_no_score(store: PixelStore, model: Callable, tmp_path: Path) -> None:
    run = fit(store, model(epochs=5, validate_every=2), tmp_path / "state.pt")
    assert [row["epoch"] for row in run.history if row["score"] is not None] == [2, 4, 5]

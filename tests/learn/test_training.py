"""A tiny network on two images whose bright squares are the class."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from tessera.data.boxes import BOX
from tessera.data.pixels import PixelStore
from tessera.errors import InputError
from tessera.learn import training
from tessera.learn.loop import Batch, train_epoch, validate
from tessera.learn.losses.build import LOSSES
from tessera.learn.progress import Clock
from tessera.learn.run import Run
from tessera.learn.training import Material, Training
from tessera.machine import Machine
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


def fit(store: PixelStore, model: Model, state: Path, amp: str = "none", compile: bool = False, **columns: list) -> Run:
    """Trains on nine patches, with further columns, which are positive unless those say otherwise."""
    places = [("a", 0, y, x) for y in (0, 16, 32) for x in (0, 16, 32)]
    patches = pd.DataFrame(places, columns=["image_id", "z", "y", "x"]).assign(**{"positive_fraction": 0.3} | columns)
    held_out = pd.DataFrame([("b", 0, 1, 0, 64, 0, 64)], columns=BOX)
    torch.set_num_threads(1)
    return Training(model, Binary(["a"]), amp, Machine(CPU, compile=compile)).fit(
        Material(store, patches, 32, 1), held_out, state, Clock("tiny", model.epochs)
    )


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The items that the steps see, a list an epoch."""
    epochs: list[list[int]] = []

    def watched(run: Run, batches: Iterable[Batch], *others: object) -> dict:
        def each() -> Iterator[Batch]:
            for batch in batches:
                epochs[-1] += batch.items.tolist()
                yield batch

        epochs.append([])
        return train_epoch(run, each(), *others)

    monkeypatch.setattr(training, "train_epoch", watched)
    return epochs


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(map(torch.equal, one.values(), other.values()))


def same(one: Run, other: Run) -> bool:
    return equal(one.network.state_dict(), other.network.state_dict())


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


def test_keep_best_ends_with_the_epoch_that_scored_best(store: PixelStore, model: Callable, tmp_path: Path) -> None:
    run = fit(store, model(epochs=3, keep="best"), tmp_path / "state.pt")
    scores = [row["score"] for row in run.history]
    assert run.kept.best_score == max(scores)
    assert run.kept.numbers == [scores.index(max(scores)) + 1]
    assert fit(store, model(epochs=1), tmp_path / "last.pt").kept.numbers == []


def test_training_stops_once_the_score_no_longer_rises_and_stays_stopped(
    store: PixelStore, model: Callable, tmp_path: Path
) -> None:
    section = model(epochs=30, lr=1e-9, patience=2)  # too low a rate to change any mask
    for _ in range(2):
        run = fit(store, section, tmp_path / "state.pt")
        assert run.finished(30)
        assert run.epoch == len(run.history) == 3


def test_the_encoder_is_frozen_epoch_by_epoch(
    store: PixelStore, model: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[Run] = []
    learning: list[bool] = []
    monkeypatch.setattr(Clock, "start", lambda self, run, *_, **__: runs.append(run))
    monkeypatch.setattr(
        Clock, "say", lambda *_: learning.append(next(runs[0].network.network.encoder.parameters()).requires_grad)
    )
    section = model(epochs=3).model_copy(update={"freeze": 2})  # of which the params ask for pretrained weights
    fit(store, section, tmp_path / "state.pt")
    assert learning == [False, False, True]


def test_the_mean_of_the_last_epochs_is_no_single_one(store: PixelStore, model: Callable, tmp_path: Path) -> None:
    run = fit(store, model(epochs=3, keep="mean_of_last", keep_epochs=2), tmp_path / "state.pt")
    last = {name: tensor.clone() for name, tensor in run.ema.network.state_dict().items()}
    run.kept.finish(run.ema.network)
    assert run.kept.numbers == [2, 3]
    assert any(not torch.equal(tensor, last[name]) for name, tensor in run.ema.network.state_dict().items())


def test_a_loss_that_is_no_number_stops_the_run_and_names_its_patches(
    store: PixelStore, model: Callable, tmp_path: Path
) -> None:
    place = r"\(a, z 0, y (0|16|32), x (0|16|32)\)"
    said = rf"the loss is (nan|inf) in step \d of epoch 1, at learning rate \d.+: lower lr.+Its batch was {place}, {place}$"
    with pytest.raises(InputError, match=said):
        fit(store, model(epochs=6, lr=1e30), tmp_path / "state.pt")
    assert not (tmp_path / "state.pt").exists()


def test_epochs_between_validations_have_no_score(store: PixelStore, model: Callable, tmp_path: Path) -> None:
    run = fit(store, model(epochs=5, validate_every=2), tmp_path / "state.pt")
    assert [row["epoch"] for row in run.history if row["score"] is not None] == [2, 4, 5]


def test_micro_batches_by_params(store: PixelStore, model: Callable, tmp_path: Path) -> None:
    assert fit(store, model(epochs=1, batch=4, accumulate=2), tmp_path / "two.pt").pieces == 2
    assert "accumulate" not in model(accumulate=1).model_dump()  # so that older records stay as they were
    with pytest.raises(ValidationError, match="accumulate must divide batch into equal parts, got 4 / 3"):
        model(batch=4, accumulate=3)


def test_fewer_patches_than_a_batch_keep_the_images_that_a_network_needs_at_once(
    store: PixelStore, model: Callable, tmp_path: Path
) -> None:
    few = {"decoder": "UPerNet", "arguments": {"decoder_channels": 16}, "epochs": 1, "batch": 8, "accumulate": 4}
    run = fit(store, model(patches=5, **few), tmp_path / "state.pt")
    assert run.pieces == 2
    assert run.history[0]["images"] == 5
    with pytest.raises(InputError, match="an epoch has 1 window.*UPerNet trains on 2 at once: raise patches"):
        Training(model(**few), Binary(["a"]), "none", Machine(CPU)).batches(pd.DataFrame({"z": [0]}))


def test_compiling_changes_no_name_of_a_weight(
    store: PixelStore, model: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled, plain = [], fit(store, model(epochs=1), tmp_path / "plain.pt")
    monkeypatch.setattr(torch, "compile", lambda function, **_: compiled.append(function) or function)
    run = fit(store, model(epochs=1), tmp_path / "compiled.pt", compile=True)
    assert compiled
    for one, other in ((run.network, plain.network), (run.ema.network, plain.ema.network)):
        assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))
        assert one.state_dict().keys() == other.state_dict().keys()


def test_windows_are_mixed_where_the_params_say_so(store: PixelStore, model: Callable, tmp_path: Path) -> None:
    mixes = ({}, {}, {"cutmix": 1.0}, {"copy_positive": 1.0})
    plain, again, *mixed = (fit(store, model(mix=mix), tmp_path / f"{n}.pt") for n, mix in enumerate(mixes))
    assert same(plain, again)
    assert not any(same(plain, run) for run in mixed)
    assert not same(*mixed)


def test_a_transform_that_cannot_be_is_refused_before_the_first_step(
    store: PixelStore, model: Callable, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="HueSaturationValue cannot change .* 1 channel.*grayscale"):
        fit(store, model(augment=[{"name": "HueSaturationValue"}]), tmp_path / "state.pt")


def test_an_epoch_draws_what_the_params_balance(
    store: PixelStore, model: Callable, tmp_path: Path, trained: list[list[int]]
) -> None:
    """The lone patch of a group comes as often as the eight of the other."""
    groups = ["alone"] + ["others"] * 8
    fit(store, model(epochs=2, patches=8, balance="group"), tmp_path / "state.pt", group=groups)
    assert [sum(item % 9 == 0 for item in items) for items in trained] == [4, 4]


def test_each_epoch_has_an_order_and_a_share_of_positives_of_its_own(
    store: PixelStore, model: Callable, tmp_path: Path, trained: list[list[int]]
) -> None:
    fit(store, model(epochs=2, batch=3), tmp_path / "all.pt")
    assert sorted(trained[0]) == sorted(trained[1]) == list(range(9))
    assert trained[0] != trained[1]
    trained.clear()
    annealed = model(epochs=3, patches=4, positive_share=[1, 0])
    fit(store, annealed, tmp_path / "annealed.pt", positive_fraction=[0.3] * 4 + [0] * 5)
    assert [sum(item % 9 < 4 for item in items) for items in trained] == [4, 2, 0]


def test_each_step_has_the_rate_of_the_schedule_with_the_warm_up_of_the_params(
    store: PixelStore, model: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []

    def watch(self: Clock, run: Run, *_: object) -> None:
        run.optimiser.register_step_pre_hook(lambda optimiser, *_: rates.append(optimiser.param_groups[0]["lr"]))

    monkeypatch.setattr(Clock, "start", watch)
    fit(store, model(epochs=2, batch=3, lr=1e-3, schedule="cosine", warmup=0.5), tmp_path / "state.pt")
    assert rates == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3, 1e-3, 0.75e-3, 0.25e-3])  # of twice three steps


def test_the_seed_of_the_params_decides_the_first_weights(model: Callable) -> None:
    def first(seed: int) -> dict[str, torch.Tensor]:
        torch.rand(1)  # what was drawn before does not count
        return Training(model(seed=seed), Binary(["a"]), "none", Machine(CPU)).build(1).state_dict()

    assert equal(first(1), first(1))
    assert not equal(first(1), first(2))


def test_the_averaged_weights_are_scored_and_kept(
    store: PixelStore, model: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[dict[str, torch.Tensor]] = []

    def watched(network: torch.nn.Module, *others: object) -> np.ndarray:
        scored.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return validate(network, *others)

    monkeypatch.setattr(training, "validate", watched)
    run = fit(store, model(epochs=2, ema=0.9, keep="mean_of_last", keep_epochs=2), tmp_path / "state.pt")
    assert equal(scored[-1], run.ema.network.state_dict())
    assert not equal(scored[-1], run.network.state_dict())
    assert [epoch for _, epoch, _ in run.kept.epochs] == [1, 2]
    assert all(equal(kept, seen) for (*_, kept), seen in zip(run.kept.epochs, scored, strict=True))


def test_without_a_held_out_fold_nothing_is_scored_and_without_a_state_nothing_saved(
    store: PixelStore, model: Callable, tmp_path: Path
) -> None:
    patches = pd.DataFrame([("a", 0, 16, 16)] * 4, columns=["image_id", "z", "y", "x"]).assign(positive_fraction=0.3)
    plain = Training(model(), Binary(["a"]), "none", Machine(CPU))
    run = plain.fit(Material(store, patches, 32, 1), None, None, Clock("tiny", 2))
    assert [row["score"] for row in run.history] == [None, None]
    assert not list(tmp_path.glob("*.pt"))

"""What only a GPU can show of training: its precisions, its memory, its loader, and processes that share it."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from torch import distributed, nn

from tessera.data.boxes import BOX
from tessera.data.pixels import PixelStore
from tessera.errors import InputError
from tessera.learn import ranks
from tessera.learn.augmentations.lists import LISTS
from tessera.learn.dataset import Shape, Windows
from tessera.learn.loading import Batches
from tessera.learn.on_device.choice import build_loader
from tessera.learn.progress import Clock
from tessera.learn.run import Run
from tessera.learn.training import Material, Training
from tessera.machine import Machine
from tessera.params.model import Model
from tessera.tasks import Binary

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
PLACES = [("a", 0, y, x) for y in (0, 16, 32) for x in (0, 16, 32)]
PATCHES = pd.DataFrame(PLACES, columns=["image_id", "z", "y", "x"]).assign(positive_fraction=0.3)
HELD_OUT = pd.DataFrame([("b", 0, 1, 0, 64, 0, 64)], columns=BOX)
LEARNING = {"epochs": 8, "batch": 3, "lr": 1e-2, "loss": {"bce": 1.0, "dice": 1.0}, "clip": 1.0}


class Said(Clock):
    """Remembers what was said; calls `after_epoch`."""

    def __init__(self, after_epoch: Callable[[], None] = lambda: None):
        super().__init__("tiny", 8)
        self.notes, self.after_epoch = [], after_epoch

    def note(self, text: str) -> None:
        self.notes.append(text)

    def say(self, row: dict) -> None:
        super().say(row)
        self.after_epoch()


@pytest.fixture
def store(pixel_store: Callable[..., PixelStore]) -> PixelStore:
    """Two images whose bright square is the class."""
    labels = np.zeros((1, 64, 64), np.uint8)
    labels[:, 16:40, 20:52] = 1
    noise = np.random.default_rng(0).integers(0, 40, (2, 1, 64, 64, 3), np.uint8)
    return pixel_store(dict(zip("ab", 80 + 90 * labels[..., None] + noise, strict=True)), dict.fromkeys("ab", labels))


def fit(
    path: Path,
    section: Model,
    state: Path | None = None,
    amp: str = "none",
    clock: Clock | None = None,
    device: torch.device = GPU,
    **machine: object,
) -> Run:
    training = Training(section, Binary(["a"]), amp, Machine(device, **machine))
    return training.fit(Material(PixelStore(path), PATCHES, 32, 3), HELD_OUT, state, clock or Said())


def weights(run: Run) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten().cpu() for parameter in run.network.parameters()])


@pytest.mark.parametrize("amp", ["none", "bf16", "fp16"])
@pytest.mark.parametrize("loader", ["device", "workers"])
def test_it_learns_at_every_precision_with_either_loader(
    store: PixelStore, model: Callable[..., Model], amp: str, loader: str
) -> None:
    run = fit(store.path, model(**LEARNING), amp=amp, loader=loader, workers=2)
    assert run.history[-1]["loss"] < 0.5 * run.history[0]["loss"]
    assert run.history[-1]["score"] > 0.8
    assert run.loader == loader
    assert run.optimiser.defaults["fused"]
    assert torch.backends.cudnn.benchmark
    assert {(tensor.dtype, tensor.device) for tensor in run.network.parameters()} == {(torch.float32, GPU)}


def test_compiled_it_learns_and_no_name_changes(store: PixelStore, model: Callable[..., Model]) -> None:
    plain, compiled = (fit(store.path, model(**LEARNING), amp="bf16", compile=compile) for compile in (False, True))
    assert compiled.history[-1]["score"] > 0.8
    assert compiled.network.state_dict().keys() == plain.network.state_dict().keys()


def test_it_makes_the_steps_of_a_cpu(
    store: PixelStore, model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for rounding; the score too, whose pixels are counted there."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    section = model(**LEARNING | {"epochs": 2, "lr": 1e-4})
    here, there = (fit(store.path, section, device=device, loader="device") for device in (CPU, GPU))
    assert moved_alike(weights(there), weights(here), section)
    for row, expected in zip(losses(there), losses(here), strict=True):
        assert row == pytest.approx(expected, abs=1e-2)


def moved_alike(one: torch.Tensor, other: torch.Tensor, section: Model) -> bool:
    """Whether two trainings went to about the same weights: AdamW's steps are as large where gradients are all noise."""
    torch.manual_seed(section.seed)
    start = Training(section, Binary(["a"]), "none", Machine(CPU)).build(3).parameters()
    way = torch.cat([parameter.detach().flatten() for parameter in start]) - other
    return bool((one - other).norm() < 0.1 * way.norm())


def test_ended_it_goes_on_from_its_state(store: PixelStore, model: Callable[..., Model], tmp_path: Path) -> None:
    clock = Said(lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        fit(store.path, model(**LEARNING), tmp_path / "state.pt", "fp16", clock)
    later = Said()
    run = fit(store.path, model(**LEARNING), tmp_path / "state.pt", "fp16", later)
    assert any(note.startswith("goes on in epoch 2") for note in later.notes)
    assert [row["epoch"] for row in run.history] == list(range(1, 9))
    assert run.history[-1]["score"] > 0.8
    assert {value.device for state in run.optimiser.state.values() for value in state.values()} == {GPU}


@pytest.fixture
def small_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], int]], None]:
    """A function that leaves 3 GiB of the GPU, of which each forward pass takes GiB by the number of its windows."""
    build = Training._build

    def shrink(needs: Callable[[int], int]) -> None:
        def take(_: nn.Module, windows: tuple[torch.Tensor]) -> None:
            torch.empty(needs(len(windows[0])) << 30, dtype=torch.uint8, device=GPU)

        def built(self: Training, channels: int) -> nn.Module:
            network = build(self, channels)
            network.register_forward_pre_hook(take)
            return network

        monkeypatch.setattr(Training, "_build", built)
        torch.cuda.empty_cache()
        room = torch.cuda.memory_reserved() + (3 << 30)
        torch.cuda.set_per_process_memory_fraction(room / torch.cuda.get_device_properties(0).total_memory)

    yield shrink
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_out_of_memory_the_step_is_repeated_in_halves(
    store: PixelStore, model: Callable[..., Model], small_gpu: Callable
) -> None:
    small_gpu(lambda windows: max(windows - 2, 0))
    clock = Said()
    run = fit(store.path, model(**LEARNING | {"batch": 8, "patches": 24, "validate_every": 8}), clock=clock)
    said = [note for note in clock.notes if "out of GPU memory" in note]
    assert [note.split(" from here on")[0] for note in said] == ["out of GPU memory: micro-batches of 4"]
    assert "batch-norm's statistics are now those of a micro-batch" in said[0]
    assert run.pieces == 2
    assert run.history[-1]["loss"] < 0.5 * run.history[0]["loss"]
    assert run.history[-1]["images"] == 24


def test_a_window_that_does_not_fit_is_an_error(
    store: PixelStore, model: Callable[..., Model], small_gpu: Callable
) -> None:
    small_gpu(lambda windows: 4)
    with pytest.raises(InputError, match="the GPU's memory does not hold the training of one image"):
        fit(store.path, model(**LEARNING))


def loader_of(store: PixelStore, section: Model, machine: Machine) -> Batches:
    """Of batches of all patches; the processes of `workers` change nothing."""
    items = Windows(store, PATCHES, 32, Shape.of(section), lambda image, labels, seed: (image, labels), seed=1)
    return build_loader(items, items, section, Binary(["a"]), 9, machine, print)


@pytest.mark.parametrize("name", LISTS)
def test_windows_made_there_are_those_made_on_a_cpu(store: PixelStore, model: Callable[..., Model], name: str) -> None:
    """But for rounding, which moves a grey value by one, and a label where two pixels are as near."""
    section, batches = model(augment=[name], margin=8, slices=3 if name == "volume" else 1), {}
    for device in (CPU, GPU):
        batches[device] = list(loader_of(store, section, Machine(device, loader="device")).epoch(1, np.arange(63), 0))
    for one, other in zip(batches[CPU], batches[GPU], strict=True):
        far = (one.windows.int() - other.windows.cpu().int()).abs()
        assert (far > 1).float().mean() < 2e-3
        assert (one.target != other.target.cpu()).float().mean() < 2e-3


@pytest.mark.parametrize("name", LISTS)
def test_a_batch_is_made_without_waiting_for_the_gpu(store: PixelStore, model: Callable[..., Model], name: str) -> None:
    """But for the first, which sends what is kept."""
    section = model(augment=[name], margin=8, zoom=1.3, slices=3 if name == "volume" else 1)
    loader = loader_of(store, section, Machine(GPU, 0, loader="device"))
    plans = [loader._parts.dataset.__getitems__([(0, 9 * n + k) for k in range(9)]) for n in range(4)]
    for plan in plans:  # each change happens to some, and to all
        loader._training(plan)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for plan in plans:
            loader._training(plan)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("loader", ["device", "workers"])
def test_batches_that_a_thread_makes_beside_a_backward_pass_are_those_made_one_by_one(
    store: PixelStore, model: Callable[..., Model], loader: str
) -> None:
    section, order = model(augment=["medium"], margin=8), np.arange(90)
    alone, beside = (loader_of(store, section, Machine(GPU, workers, loader=loader)) for workers in (0, 2))
    network = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(100))).to(GPU)
    found = []
    for batch in beside.epoch(1, order, 0):
        loss = network(batch.windows.float() / 255).sum()
        beside.make_next()
        loss.backward()
        found.append(batch)
    for one, other in zip(found, alone.epoch(1, order, 0), strict=True):
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))
    assert len(found) == 10


# Several processes. NCCL asks for a GPU each; on one GPU two of them talk through the host.


class Ranks(NamedTuple):
    """How many, on how many GPUs."""

    count: int
    devices: int


def _rank(number: int, of: Ranks, path: Path, section: Model, folder: Path) -> None:
    """What a started process does."""
    os.environ |= {"RANK": str(number), "WORLD_SIZE": str(of.count)}
    if of.count > of.devices:
        distributed.is_nccl_available = lambda: False
    torch.backends.cudnn.allow_tf32 = False
    device = torch.device("cuda", number % of.devices)
    torch.cuda.set_device(device)
    with ranks.joined(f"file://{folder}/meeting"):
        run = fit(path, section, device=device, loader="device")
        # what losses exchange, of one rank as well
        assert ranks.total(torch.ones(3, device=device)).tolist() == [of.count] * 3
        assert ranks.together(torch.ones(1, device=device)).tolist() == [1] * of.count
    norms = sum(isinstance(module, nn.SyncBatchNorm) for module in run.network.modules())
    torch.save({"weights": weights(run), "rows": losses(run), "norms": norms}, folder / f"{number}.pt")


def losses(run: Run) -> list[tuple[float, float, int]]:
    return [(row["loss"], row["score"], row["images"]) for row in run.history]


@pytest.mark.parametrize("of", [Ranks(1, 1), Ranks(2, 1), Ranks(2, 2)], ids=str)
def test_ranks_end_with_the_weights_of_one_process(
    store: PixelStore, model: Callable[..., Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: Ranks
) -> None:
    """Batch-norms of two see the windows of both."""
    if of.devices > torch.cuda.device_count():
        pytest.skip("needs two GPUs")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    section = model(**LEARNING | {"epochs": 2, "batch": 4, "lr": 1e-4, "ema": 0.9})
    torch.multiprocessing.spawn(_rank, (of, store.path, section, tmp_path), of.count)
    alone = fit(store.path, section, loader="device")
    found = [torch.load(tmp_path / f"{number}.pt") for number in range(of.count)]
    assert (found[0]["norms"] > 0) == (of.count > 1)
    assert all(torch.equal(one["weights"], found[0]["weights"]) for one in found)
    assert moved_alike(found[0]["weights"], weights(alone), section)
    for row, expected in zip(found[0]["rows"], losses(alone), strict=True):
        assert row == pytest.approx(expected, abs=2e-2)

"""The loader whose pixels lie on the device, here the CPU."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from tessera.data.boxes import BOX
from tessera.data.pixels import PixelStore, create_image
from tessera.data.stacks import Stack
from tessera.errors import InputError
from tessera.learn.augmentations.build import build_augmentation
from tessera.learn.augmentations.lists import LISTS
from tessera.learn.dataset import Shape, Windows, windows_of
from tessera.learn.loading import Loader
from tessera.learn.on_device.change import NotOnDeviceError
from tessera.learn.on_device.choice import build_loader, size_that_fits
from tessera.learn.on_device.loading import DeviceLoader
from tessera.learn.progress import Clock
from tessera.learn.run import Run
from tessera.learn.training import Material, Training
from tessera.machine import Machine
from tessera.params.model import Augment, Model
from tessera.tasks import Binary, Multilabel, build_task

CPU, GPU = torch.device("cpu"), torch.device("cuda")
ORDER = np.array([3, 1, 4, 1, 5, 9, 2, 6])
OFF = {"flip": False, "rot90": False}
CLASSES = ["left", "right", "liver"]


@pytest.fixture
def store(tmp_path: Path) -> PixelStore:
    """Three classes; labels lie where channel k is bright."""
    random = np.random.default_rng(0)
    with h5py.File(tmp_path / "tiles.h5", "w") as file:
        for name, side in (("a", 80), ("b", 24)):
            create_image(file, name, (5, side, side, 3), (side, side), classes=3)
            file[name]["labels"][:] = labels = random.choice(np.array([0, 1, 255], np.uint8), (5, side, side, 3))
            file[name]["pixels"][:] = labels
    return PixelStore(tmp_path / "tiles.h5")


def model_of(augment: Augment | list, **keys: object) -> Model:
    return Model(
        decoder="Unet", encoder="e", size=32, epochs=1, batch=2, lr=1, loss={"bce": 1}, augment=augment, **keys
    )


def items_of(store: PixelStore, model: Model, task: Binary) -> Windows:
    patches = pd.DataFrame([("a", 2, 0, 0), ("a", 1, 16, 40), ("b", 0, 0, 0)], columns=["image_id", "z", "y", "x"])
    return Windows(store, patches, 32, Shape.of(model), build_augmentation(model, 3, task), seed=1)


def scored_of(store: PixelStore, shape: Shape) -> Windows:
    parts = pd.DataFrame([("a", 1, 3, 0, 60, 5, 80), ("b", 0, 1, 0, 24, 0, 24)], columns=BOX)
    return Windows(store, windows_of(parts, 32), 32, shape)


def chosen(
    store: PixelStore, augment: Augment | list, task: Binary, machine: Machine, say: Callable = print, **keys: object
) -> Loader | DeviceLoader:
    model = model_of(augment, **keys)
    items, scored = items_of(store, model, task), scored_of(store, Shape.of(model))
    return build_loader(items, scored, model, task, 2, machine, say)


def loader_of(
    store: PixelStore, augment: Augment | list, task: Binary, loader: str = "device", workers: int = 0, **keys: object
) -> Loader | DeviceLoader:
    return chosen(store, augment, task, Machine(CPU, workers, loader=loader), **keys)


@pytest.mark.parametrize("zoom", [1.0, 2.0, 1.3, 0.7])
@pytest.mark.parametrize("margin", [0, 7])
def test_unchanged_batches_are_those_of_the_workers(store: PixelStore, margin: int, zoom: float) -> None:
    augment, task = Augment(**OFF), Multilabel(CLASSES)
    ours, theirs = (
        loader_of(store, augment, task, name, slices=3, margin=margin, zoom=zoom) for name in ("device", "workers")
    )
    assert (type(ours), type(theirs)) == (DeviceLoader, Loader)
    for epoch, done in ((0, 0), (3, 2)):
        pairs = list(zip(ours.epoch(epoch, ORDER, done), theirs.epoch(epoch, ORDER, done), strict=True))
        assert len(pairs) == 4 - done == len(ours.epoch(epoch, ORDER, done))
        assert all(torch.equal(one, other) for pair in pairs for one, other in zip(*pair, strict=True))


@pytest.mark.parametrize("classes", [1, 3])
def test_scored_batches_are_those_of_the_workers(
    store: PixelStore, pixel_store: Callable[..., PixelStore], classes: int
) -> None:
    if classes == 1:
        random = np.random.default_rng(0)
        shapes = {"a": (5, 80, 80, 3), "b": (5, 24, 24, 3)}
        store.file.close()
        store = pixel_store({name: random.integers(0, 256, shape, np.uint8) for name, shape in shapes.items()})
    task = build_task("binary" if classes == 1 else "multilabel", CLASSES[:classes])
    scored = scored_of(store, Shape(32, Stack(3)))
    ours, theirs = (loader_of(store, Augment(), task, name, slices=3).each_once(2) for name in ("device", "workers"))
    for one, other in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert len(list(ours)) == -(-len(scored) // 2)


@pytest.mark.parametrize("augment", [{}, {"scale": 0.3, "rotate": 30}, {"brightness": 0.2, "contrast": 0.2, "hue": 9}])
def test_an_item_depends_on_seed_epoch_and_item_alone(store: PixelStore, augment: dict) -> None:
    loader = loader_of(store, Augment(**augment), Multilabel(CLASSES), margin=5)
    batches = list(loader.epoch(2, ORDER, 0))
    assert {batch.windows.dtype for batch in batches} == {torch.uint8}
    windows = {
        item: window for batch in batches for item, window in zip(batch.items.tolist(), batch.windows, strict=True)
    }
    torch.manual_seed(9)
    np.random.seed(9)
    for batch in loader.epoch(2, ORDER[::-1].copy(), 1):
        for item, window in zip(batch.items.tolist(), batch.windows, strict=True):
            assert torch.equal(windows[item], window)
    other = list(loader.epoch(1, ORDER, 0))
    assert not all(torch.equal(one.windows, two.windows) for one, two in zip(batches, other, strict=True))


def test_processes_that_plan_change_nothing(store: PixelStore) -> None:
    augment = Augment(scale=0.3, rotate=30, brightness=0.2)
    here, there = (loader_of(store, augment, Multilabel(CLASSES), workers=workers, margin=5) for workers in (0, 2))
    for epoch in (0, 2):
        for one, other in zip(here.epoch(epoch, ORDER, 1), there.epoch(epoch, ORDER, 1), strict=True):
            assert all(torch.equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))
        for one, other in zip(here.each_once(2), there.each_once(2), strict=True):
            assert all(torch.equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))


def test_the_first_batch_is_what_a_training_on_the_device_begins_with(store: PixelStore) -> None:
    loader = loader_of(store, Augment(rotate=30), Multilabel(CLASSES))
    assert all(map(torch.equal, loader.first(ORDER), next(iter(loader.epoch(0, ORDER, 0)))))


@pytest.mark.parametrize(("workers", "planners"), [(0, 0), (1, 1), (2, 2), (3, 2), (8, 4)])
def test_half_of_the_workers_plan(store: PixelStore, workers: int, planners: int) -> None:
    """Two at least, where there are that many."""
    assert loader_of(store, Augment(), Multilabel(CLASSES), workers=workers)._parts.num_workers == planners


def test_an_error_in_the_middle_does_not_end_an_epoch(store: PixelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = loader_of(store, Augment(), Multilabel(CLASSES))
    monkeypatch.setattr(loader.pixels, "read", lambda *found: [][1])
    with pytest.raises(IndexError):
        list(loader.epoch(0, ORDER, 0))


def test_paired_classes_change_places_in_mirror_images_alone(store: PixelStore) -> None:
    """Pixels show the labels as they were, so that only the swap tells them apart."""
    kinds = set()
    for batch in loader_of(store, Augment(), Multilabel(CLASSES, [["left", "right"]])).epoch(0, np.arange(120), 0):
        for window, target, valid in zip(batch.windows, batch.target, batch.valid, strict=True):
            shown = (window == 1) & valid
            kept = torch.equal(shown, target)
            swapped = torch.equal((window == 1)[[1, 0, 2]] & valid, target)
            assert kept != swapped
            assert torch.equal(target[2], (window == 1)[2] & valid[2])
            kinds.add((kept, swapped))
    assert len(kinds) == 2


@pytest.mark.parametrize("augment", [{}, {"scale": 0.3, "rotate": 40}])
def test_labels_are_those_of_their_set_and_move_with_the_pixels(store: PixelStore, augment: dict) -> None:
    with h5py.File(store.path, "r+") as file:
        for name in ("a", "b"):
            rows, columns = np.indices(file[name]["labels"].shape[1:3])
            block = ((rows // 11 + columns // 13) % 2).astype(np.uint8)
            file[name]["labels"][:] = block[None, ..., None]
            file[name]["pixels"][:] = 200 * block[None, ..., None]
    for batch in loader_of(store, Augment(**augment), Multilabel(CLASSES), margin=8).epoch(0, np.arange(60), 0):
        agree = ((batch.windows > 100) == batch.target) | ~batch.valid
        assert agree.float().mean() > (0.97 if augment else 0.9999)


# Which loader


def test_what_the_device_cannot_change_is_the_workers(store: PixelStore) -> None:
    strange, task = [{"name": "RandomGamma"}, {"name": "Solarize"}], Multilabel(CLASSES)
    with pytest.raises(InputError, match=r"TESSERA_LOADER=device has no Solarize.*TESSERA_LOADER=workers"):
        loader_of(store, strange, task)
    said: list[str] = []
    assert isinstance(chosen(store, strange, task, Machine(GPU, 1, loader="auto"), said.append), Loader)
    assert len(said) == 1
    assert said[0].startswith("loads with 1 worker")
    assert "Solarize" in said[0]


@pytest.mark.parametrize("loader", ["device", "auto"])
def test_pixels_that_do_not_fit_are_the_workers(
    store: PixelStore, monkeypatch: pytest.MonkeyPatch, loader: str
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100_000, 200_000))
    said: list[str] = []
    given = store, Augment(), Multilabel(CLASSES), Machine(GPU, 1, loader=loader), said.append
    if loader == "device":
        with pytest.raises(InputError, match=r"50% of the GPU's free memory.*TESSERA_LOADER=workers"):
            chosen(*given)
    else:
        assert isinstance(chosen(*given), Loader)
        assert len(said) == 1


def test_pixels_that_fit_are_counted_with_their_labels(store: PixelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 5 * (80**2 + 24**2) * (3 + 3)
    for free, fits in ((2 * size, True), (2 * size - 2, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 10 * free))
        if fits:
            assert size_that_fits(store, ["a", "b"], GPU) == size
        else:
            with pytest.raises(NotOnDeviceError, match="50% of the GPU's free memory"):
                size_that_fits(store, ["a", "b"], GPU)


@pytest.mark.parametrize("name", LISTS)
def test_every_list_can_be_made_on_the_device(store: PixelStore, name: str) -> None:
    loader = loader_of(store, [name], Multilabel(CLASSES), slices=3 if name == "volume" else 1)
    assert isinstance(loader, DeviceLoader)
    batches = list(loader.epoch(0, np.arange(20), 0))
    assert {batch.windows.dtype for batch in batches} == {torch.uint8}
    assert len({window.numpy().tobytes() for batch in batches for window in batch.windows}) == 20


def test_on_a_cpu_auto_is_workers(store: PixelStore) -> None:
    assert isinstance(loader_of(store, Augment(), Multilabel(CLASSES), loader="auto"), Loader)


def train(store: PixelStore, model: Model, state: Path, loader: str) -> Run:
    patches = pd.DataFrame([("a", z, y, 8) for z in (1, 2) for y in (0, 20, 40)], columns=["image_id", "z", "y", "x"])
    held_out = pd.DataFrame([("b", 0, 1, 0, 24, 0, 24)], columns=BOX)
    torch.set_num_threads(1)
    return Training(model, Multilabel(CLASSES), "none", Machine(CPU, loader=loader)).fit(
        Material(store, patches.assign(positive_fraction=0.5), 32, 3), held_out, state, Clock("tiny", model.epochs)
    )


def test_a_training_on_the_device_is_decided_by_its_seed(
    store: PixelStore, tmp_path: Path, model: Callable[..., Model], capsys: pytest.CaptureFixture[str]
) -> None:
    section = model(epochs=2, slices=3, augment={"scale": 0.2, "rotate": 20, "brightness": 0.2})
    first, again = (train(store, section, tmp_path / f"{n}.pt", "device") for n in range(2))
    weights = [torch.cat([p.flatten() for p in run.network.parameters()]) for run in (first, again)]
    assert torch.equal(*weights)
    assert capsys.readouterr().out.count("loads on cpu: pixels and labels take") == 2


@pytest.mark.parametrize("before", ["device", "workers"])
def test_a_training_goes_on_with_its_loader_unless_another_is_asked_for(
    store: PixelStore,
    tmp_path: Path,
    model: Callable[..., Model],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    before: str,
) -> None:
    section = model(epochs=2, slices=3, augment={"scale": 0.2, "brightness": 0.2})
    whole = train(store, section, tmp_path / "whole.pt", before)
    with monkeypatch.context() as patch:
        patch.setattr(Clock, "say", lambda self, row: os.kill(os.getpid(), signal.SIGINT))  # after the first epoch
        with pytest.raises(KeyboardInterrupt):
            train(store, section, tmp_path / "state.pt", before)
    shutil.copy(tmp_path / "state.pt", tmp_path / "other.pt")
    said = "loader {} changed the windows so far, {} does from here on"
    capsys.readouterr()

    run = train(store, section, tmp_path / "state.pt", "auto")
    assert run.loader == before
    assert all(map(torch.equal, run.network.parameters(), whole.network.parameters()))
    assert "so far" not in capsys.readouterr().out

    (other,) = {"device", "workers"} - {before}
    run = train(store, section, tmp_path / "other.pt", other)
    assert run.loader == other
    assert not all(map(torch.equal, run.network.parameters(), whole.network.parameters()))
    assert said.format(before, other) in capsys.readouterr().out


def test_pixels_that_no_longer_fit_change_the_loader(store: PixelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    section, task = model_of(Augment()), Multilabel(CLASSES)
    items, scored = items_of(store, section, task), scored_of(store, Shape.of(section))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100_000, 200_000))
    machine = Machine(GPU, 1, loader="auto")
    assert isinstance(build_loader(items, scored, section, task, 2, machine, print, "device"), Loader)


def test_unchanged_windows_train_to_the_same_weights_with_either_loader(
    store: PixelStore, tmp_path: Path, model: Callable[..., Model]
) -> None:
    section = model(epochs=1, slices=3, augment=OFF)
    runs = [train(store, section, tmp_path / f"{name}.pt", name) for name in ("device", "workers")]
    weights = [torch.cat([p.flatten() for p in run.network.parameters()]) for run in runs]
    assert torch.equal(*weights)
    assert runs[0].history[-1]["score"] == runs[1].history[-1]["score"]


def test_a_training_tells_its_loader_of_each_backward_pass(
    store: PixelStore, tmp_path: Path, model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    monkeypatch.setattr(DeviceLoader, "make_next", lambda self: told.append(self))
    run = train(store, section := model(epochs=2, slices=3), tmp_path / "state.pt", "device")
    assert len(told) == sum(row["images"] for row in run.history) // section.batch > 2

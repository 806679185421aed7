from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from tessera.data.pixels import PixelStore
from tessera.data.stacks import Stack
from tessera.learn.augmentations.build import build_augmentation
from tessera.learn.dataset import Shape, Windows
from tessera.learn.loading import Loader
from tessera.params.model import Model
from tessera.tasks import Binary

ORDER = np.array([3, 1, 4, 1, 5, 9, 2])


@pytest.fixture
def items(pixel_store: Callable[..., PixelStore], model: Callable[..., Model]) -> Windows:
    rng = np.random.default_rng(0)
    store = pixel_store({"a": rng.integers(0, 256, (1, 64, 64, 1), np.uint8)})
    patches = pd.DataFrame([("a", 0, 0, 0), ("a", 0, 16, 16), ("a", 0, 32, 32)], columns=["image_id", "z", "y", "x"])
    augmentation = build_augmentation(model(), 1, Binary(["a"]))
    return Windows(store, patches, 32, Shape(32, Stack(1)), augmentation, seed=1)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("done", [0, 1, 3])
def test_batches_are_the_orders_from_the_first_that_is_not_done(items: Windows, workers: int, done: int) -> None:
    loader = Loader(items, Binary(["a"]), batch=2, workers=workers, pinned=False)
    for epoch in (0, 2):
        batches = list(loader.epoch(epoch, ORDER, done))
        assert [batch.items.tolist() for batch in batches] == [[3, 1], [4, 1], [5, 9]][done:]
        items.epoch = epoch
        for batch in batches:
            for number, item in enumerate(batch.items.tolist()):
                window, labels = items[item]
                assert torch.equal(batch.windows[number], window)
                assert torch.equal(batch.target[number, 0], labels == 1)
                assert torch.equal(batch.valid[number, 0], labels != 255)


def test_what_is_done_is_not_loaded(items: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    original, loaded = Windows.__getitem__, []
    monkeypatch.setattr(Windows, "__getitem__", lambda self, item: (loaded.append(item), original(self, item))[1])
    list(Loader(items, Binary(["a"]), batch=2, workers=0, pinned=False).epoch(0, ORDER, 2))
    assert loaded == [5, 9]


def test_loading_leaves_torchs_random_numbers_alone(items: Windows) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for workers in (0, 2):
        list(Loader(items, Binary(["a"]), batch=2, workers=workers, pinned=False).epoch(0, ORDER, 0))
    assert torch.equal(torch.get_rng_state(), before)


def test_processes_stay_alive_from_epoch_to_epoch(items: Windows) -> None:
    loader = Loader(items, Binary(["a"]), batch=2, workers=2, pinned=False)
    list(loader.epoch(0, ORDER, 0))
    first = [worker.pid for worker in loader._batches._iterator._workers]
    list(loader.epoch(1, ORDER, 0))
    assert [worker.pid for worker in loader._batches._iterator._workers] == first

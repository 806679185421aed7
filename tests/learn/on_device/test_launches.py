"""What a batch costs a GPU and the CPU that launches its kernels; counted without one."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tessera.data.pixels import PixelStore, create_image
from tessera.learn.dataset import Shape, Windows
from tessera.learn.on_device.choice import build_loader
from tessera.learn.on_device.loading import DeviceLoader, Plan
from tessera.learn.on_device.pixels import PLANES
from tessera.machine import Machine
from tessera.params.model import Augment, Model
from tessera.tasks import build_task


class Launched(TorchDispatchMode):
    """The kernels of the block."""

    def __init__(self):
        super().__init__()
        self.names, self.largest = [], 0  # bytes of one result

    def __torch_dispatch__(self, kernel: Callable, types: list, args: tuple = (), kwargs: dict | None = None) -> object:
        result = kernel(*args, **kwargs or {})
        aliases = [one.alias_info for one in kernel._schema.returns]
        if not any(alias and not alias.is_write for alias in aliases):  # views launch nothing
            self.names.append(kernel.__name__)
            self.largest = max(self.largest, result.nbytes)
        return result


class Given(NamedTuple):
    """A loader and plans of its batches."""

    loader: DeviceLoader
    plans: list[Plan]


@pytest.fixture
def given(tmp_path: Path, model: Callable[..., Model]) -> Callable[..., Given]:
    """A function of keys of a model and of the classes."""

    def build(classes: int = 1, **keys: object) -> Given:
        with h5py.File(tmp_path / "tiles.h5", "w") as file:
            create_image(file, "a", (9, 64, 64, 1), (64, 64), classes)
        store, section = PixelStore(tmp_path / "tiles.h5"), model(batch=8, **keys)
        task = build_task("binary" if classes == 1 else "multilabel", list("abcdefghij")[:classes])
        patches = pd.DataFrame([("a", 4, 0, 0), ("a", 5, 20, 30)], columns=["image_id", "z", "y", "x"])
        items = Windows(store, patches, 32, Shape.of(section), lambda image, labels, seed: (image, labels))
        loader = build_loader(items, items, section, task, 8, Machine(torch.device("cpu"), 0, loader="device"), print)
        return Given(loader, [loader._parts.dataset.__getitems__([(0, 8 * n + k) for k in range(8)]) for n in range(8)])

    return build


def test_a_batch_is_sent_at_once_and_takes_few_kernels(
    given: Callable[..., Given], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the changes of benchmarks/training_gpu.py, each of some windows."""
    loader, plans = given(augment=Augment(scale=0.2, rotate=30, brightness=0.2, contrast=0.2))
    loader._training(plans[0])
    original, sent, counts = torch.from_numpy, [], []
    monkeypatch.setattr(torch, "from_numpy", lambda array: (sent.append(array), original(array))[1])
    for plan in plans:
        with Launched() as launched:
            loader._training(plan)
        counts.append(len(launched.names))
    assert len(sent) == len(plans)
    assert max(counts) == 25


@pytest.mark.parametrize("keys", [{"slices": 9}, {"classes": 10}], ids=str)
def test_addresses_of_a_few_planes_are_held_at_once(given: Callable[..., Given], keys: dict) -> None:
    """However many a window, or its labels, has."""
    loader, plans = given(**keys)
    loader._training(plans[0])
    with Launched() as launched:
        loader._training(plans[1])
    assert launched.largest == 8 * PLANES * 32 * 32 * np.dtype(np.int64).itemsize

"""What only a GPU can show of prediction: its precisions, and sums that its memory does not hold."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from tessera.data.pixels import PixelStore
from tessera.learn.precision import autocast
from tessera.params.model import Model
from tessera.params.predict import Predict
from tessera.predict.predictor import Predictor
from tessera.tasks import Binary

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
HEIGHT, WIDTH = 600, 2400  # a band of sums takes more than a MiB
VIEWS = ["identity", "flip_h", "rot90", "identity@0.8"]


class Smooth(nn.Module):
    """Sees what is around a pixel."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return 8 * self.layers(windows.float() / 128 - 1)


@pytest.fixture
def store(pixel_store: Callable[..., PixelStore]) -> PixelStore:
    return pixel_store({"a": np.random.default_rng(0).integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)})


def predict(
    pixels: PixelStore, model: Model, device: torch.device, amp: str = "none", note: Callable = print, **changes: object
) -> dict[str, np.ndarray]:
    section = Predict(**{"window": 128, "overlap": 0.5, "views": VIEWS} | changes)
    network = Smooth().eval().to(device)
    if device == GPU and changes.get("store") == "merged":
        network.compile()
    predictor = Predictor([network], model, section, Binary(["a"]), device, partial(autocast, device, amp), note)
    return {name: maps.astype(int) for name, maps in next(predictor.slices(pixels, "a", 0, 1)).items()}


@pytest.mark.parametrize(
    ("amp", "kept", "levels"), [("none", "views", 2), ("bf16", "views", 8), ("fp16", "views", 2), ("bf16", "merged", 8)]
)
def test_it_says_what_a_cpu_says(
    store: PixelStore, model: Callable[..., Model], amp: str, kept: str, levels: int
) -> None:
    """Merged views by a compiled network."""
    here, there = (predict(store, model(), device, amp, store=kept) for device in (CPU, GPU))
    assert list(here) == list(there)
    for name, maps in here.items():
        assert np.abs(maps - there[name]).max() <= levels
        assert maps.std() > 10


@contextmanager
def full_gpu() -> Iterator[None]:
    """Inside, no MiB is left."""
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(torch.cuda.memory_reserved() / whole)
    filling = []
    try:
        with suppress(torch.OutOfMemoryError):
            while True:
                filling.append(torch.empty(1_100_000, dtype=torch.uint8, device=GPU))
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.parametrize("full_at", [3, 4, 7])
def test_sums_that_do_not_fit_are_made_in_host_memory(
    store: PixelStore, model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch, full_at: int
) -> None:
    """What was summed on the GPU until then goes along."""
    expected, said, made, zeros = predict(store, model(), GPU), [], [], torch.zeros

    def allocated(*arguments: object, **keys: object) -> torch.Tensor:
        made.append(keys["device"].type)
        with full_gpu() if len(made) == full_at else nullcontext():
            return zeros(*arguments, **keys)

    monkeypatch.setattr(torch, "zeros", allocated)
    found = predict(store, model(), GPU, note=said.append)
    assert [note.split(":")[0] for note in said] == ["out of memory on cuda"]
    assert set(made[:full_at]) == {"cuda"}
    assert set(made[full_at:]) == {"cpu"}
    for name, maps in expected.items():
        assert np.abs(maps - found[name]).max() <= 1

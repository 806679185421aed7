"""The three baselines of the HuBMAP lesson and the sample's 2.5D recipe learn four patches by heart."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from closure import ROOT

from tessera.data.boxes import BOX
from tessera.data.pixels import PixelStore
from tessera.learn.progress import Clock
from tessera.learn.training import Material, Training
from tessera.machine import Machine
from tessera.params.load import load_params
from tessera.params.model import Model
from tessera.tasks import Binary

SIZE = 64  # px
SWIN = "tu-swin_tiny_patch4_window7_224"
CHANGES = {
    "epochs": 40,
    "patches": 4,
    "batch": 4,
    "validate_every": 40,
    "ema": 0,
    "augment": {"flip": False, "rot90": False},
}
BASELINES = {
    "v1": {"decoder": "FpnAsppUnet", "encoder": "resnext50_32x4d"},
    "v2": {"decoder": "UPerNet", "encoder": SWIN},
    "v3": {"decoder": "Segformer", "encoder": SWIN},
}


@pytest.fixture
def blobs(pixel_store: Callable[..., PixelStore]) -> Callable[[int, int], PixelStore]:
    """A function that writes four volumes (depth, SIZE, SIZE, channels) of bright, noisy blobs, which are the class."""

    def write(depth: int, channels: int) -> PixelStore:
        random = np.random.default_rng(0)
        labels, pixels = {}, {}
        for name in "abcd":
            smooth = cv2.GaussianBlur(random.normal(size=(SIZE, SIZE)), (0, 0), 10)
            mask = (smooth > np.quantile(smooth, 0.7)).astype(np.uint8)
            labels[name] = np.repeat(mask[None], depth, 0)
            pixels[name] = 90 + 60 * labels[name][..., None] + random.integers(0, 60, (depth, SIZE, SIZE, channels))
        return pixel_store({name: image.astype(np.uint8) for name, image in pixels.items()}, labels)

    return write


def _dice(store: PixelStore, model: Model, channels: int, state: Path) -> float:
    """Of a training on the middles of the four volumes, which are its held-out ones as well."""
    z = store.shape("a")[0] // 2
    patches = pd.DataFrame([(name, z, 0, 0) for name in "abcd"], columns=["image_id", "z", "y", "x"])
    parts = pd.DataFrame([(name, z, z + 1, 0, SIZE, 0, SIZE) for name in "abcd"], columns=BOX)
    training = Training(model, Binary(["blob"]), "none", Machine(torch.device("cpu")))
    patches["positive_fraction"] = 0.3
    run = training.fit(Material(store, patches, SIZE, channels), parts, state, Clock("baseline", model.epochs))
    return run.history[-1]["score"]


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_overfits_four_patches(name: str, blobs: Callable, model: Callable, tmp_path: Path) -> None:
    section = model(
        **{"size": SIZE, "lr": 5e-4, "clip": 1.0, "loss": {"bce": 1.0, "dice": 1.0}, "arguments": {}}
        | CHANGES
        | BASELINES[name]
    )
    assert _dice(blobs(1, 3), section, 3, tmp_path / "state.pt") > 0.95


def test_the_samples_recipe_overfits_four_stacks(blobs: Callable, tmp_path: Path) -> None:
    recipe = load_params(ROOT / "params.yaml").models["unet_25d"]
    assert recipe.slices == 3
    section = Model(**recipe.model_dump() | CHANGES | {"size": SIZE, "positive_share": None})
    assert _dice(blobs(3, 1), section, 1, tmp_path / "state.pt") > 0.95

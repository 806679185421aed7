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

SWIN = "tu-swin_tiny_patch4_window7_224"
CHANGES = {"patches": 4, "batch": 4, "ema": 0, "augment": {"flip": False, "rot90": False}}
BASELINES = {  # as they are but for their windows
    "v1": {"decoder": "FpnAsppUnet", "encoder": "resnext50_32x4d", "size": 32, "epochs": 36},
    "v2": {"decoder": "UPerNet", "encoder": SWIN, "size": 32, "epochs": 28},
    "v3": {"decoder": "Segformer", "encoder": SWIN, "size": 64, "epochs": 28},
}


@pytest.fixture
def blobs(pixel_store: Callable[..., PixelStore]) -> Callable[[int, int, int], PixelStore]:
    """A function that writes four volumes (depth, size, size, channels) of bright, noisy blobs, which are the class."""

    def write(depth: int, size: int, channels: int) -> PixelStore:
        random = np.random.default_rng(0)
        labels, pixels = {}, {}
        for name in "abcd":
            smooth = cv2.GaussianBlur(random.normal(size=(size, size)), (0, 0), size / 4)
            mask = (smooth > np.quantile(smooth, 0.7)).astype(np.uint8)
            labels[name] = np.repeat(mask[None], depth, 0)
            pixels[name] = 90 + 60 * labels[name][..., None] + random.integers(0, 60, (depth, size, size, channels))
        return pixel_store({name: image.astype(np.uint8) for name, image in pixels.items()}, labels)

    return write


def _dice(store: PixelStore, model: Model, channels: int, state: Path) -> float:
    """Of a training on the middles of the four volumes, which are its held-out ones as well."""
    z = store.shape("a")[0] // 2
    patches = pd.DataFrame([(name, z, 0, 0) for name in "abcd"], columns=["image_id", "z", "y", "x"])
    parts = pd.DataFrame([(name, z, z + 1, 0, model.size, 0, model.size) for name in "abcd"], columns=BOX)
    training = Training(model, Binary(["blob"]), "none", Machine(torch.device("cpu")))
    patches["positive_fraction"] = 0.3
    run = training.fit(Material(store, patches, model.size, channels), parts, state, Clock("baseline", model.epochs))
    return run.history[-1]["score"]


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_overfits_four_patches(name: str, blobs: Callable, model: Callable, tmp_path: Path) -> None:
    learning = {"lr": 1e-3, "clip": 1.0, "loss": {"bce": 1.0, "dice": 1.0}, "arguments": {}}
    section = model(**CHANGES | learning | BASELINES[name] | {"validate_every": BASELINES[name]["epochs"]})
    assert _dice(blobs(1, section.size, 3), section, 3, tmp_path / "state.pt") > 0.95


def test_the_samples_recipe_overfits_four_stacks(blobs: Callable, tmp_path: Path) -> None:
    recipe = load_params(ROOT / "params.yaml").models["unet_25d"]
    assert recipe.slices == 3
    shorter = {"size": 64, "epochs": 40, "validate_every": 40, "positive_share": None}
    section = Model(**recipe.model_dump() | CHANGES | shorter)
    assert _dice(blobs(3, 64, 1), section, 1, tmp_path / "state.pt") > 0.95

"""Small worlds that several tests live in."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

# Before torch is imported: tests run in two processes, which with two threads each would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TESSERA_THREADS", "1")
os.environ.setdefault("TESSERA_DEVICE", "cpu")  # whose bytes many tests compare; what is for a GPU asks for it

import cv2
import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile

from tessera import disk, rle
from tessera.data.pixels import PixelStore, create_image
from tessera.decide.evidence import Evidence
from tessera.params.data import Data
from tessera.params.model import Model
from tessera.tasks import Binary


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that both processes end together."""
    long = ("test_reruns", "test_end_to_end")
    items.sort(key=lambda item: next((n for n, name in enumerate(long) if name in item.nodeid), len(long)))


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A function that makes so many bytes free, beside those that stay so."""

    def leave(size: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=disk.SPARE + size))

    return leave


SIZES = {"a": (24, 40), "b": (33, 20), "c": (40, 24), "t": (31, 37)}  # three training images, and t to predict


@pytest.fixture
def competition(tmp_path: Path) -> Callable[..., Data]:
    """A function that writes a tiny competition into tmp_path/"raw" and returns its `data` section.

    "volumes": 16-bit TIFF slices 2 and 10, labels are RLE rows. "masks": RGB PNG, masks with 1 and, ignored, 2.
    """

    def write(kind: str, **changes: object) -> Data:
        source = tmp_path / "raw"
        rng = np.random.default_rng(0)
        _write_volumes(source, rng) if kind == "volumes" else _write_masks(source, rng)
        meta = pd.DataFrame([(name, f"p_{name}", "kidney" if name in "at" else "liver") for name in SIZES])
        meta.to_csv(source / "meta.csv", index=False, header=["id", "patient", "organ"])
        common = {
            "source": str(source), "task": "binary", "classes": ["vessel"], "meta": ["meta.csv"],
            "group": "patient", "stratum": "organ", "sample_submission": "sample.csv", "solution": None,
        }  # fmt: skip
        own = {
            "volumes": {
                "channels": "grey", "train_rle": "train.csv",
                "train_images": "train/{image_id}/{slice}.tif", "test_images": "test/{image_id}/{slice}.tif",
            },
            "masks": {
                "channels": "rgb", "train_masks": "masks/{image_id}.png", "ignore": 2,
                "train_images": "train/{image_id}.png", "test_images": "test/{image_id}.png",
            },
        }[kind]  # fmt: skip
        return Data(**common | own | changes)

    return write


def _write_volumes(source: Path, rng: np.random.Generator) -> None:
    rows = {"train": [], "test": []}
    for name, size in SIZES.items():
        subset = "test" if name == "t" else "train"
        (source / subset / name).mkdir(parents=True)
        for slice_name in ("2", "10"):
            image = rng.integers(1000, 9000, size).astype(np.uint16)
            tifffile.imwrite(source / subset / name / f"{slice_name}.tif", image, compression="zlib")
            text = rle.encode(rng.random(size) < 0.1) if subset == "train" else ""
            rows[subset].append((f"{name}_{slice_name}", text))
    for subset, file in (("train", "train.csv"), ("test", "sample.csv")):
        pd.DataFrame(rows[subset], columns=["id", "rle"]).to_csv(source / file, index=False)


def _write_masks(source: Path, rng: np.random.Generator) -> None:
    for folder in ("train", "test", "masks"):
        (source / folder).mkdir(parents=True)
    for name, size in SIZES.items():
        subset = "test" if name == "t" else "train"
        cv2.imwrite(str(source / subset / f"{name}.png"), rng.integers(0, 256, (*size, 3)).astype(np.uint8))
        if subset == "train":
            cv2.imwrite(str(source / "masks" / f"{name}.png"), rng.integers(0, 3, size).astype(np.uint8))
    (source / "sample.csv").write_text("id,rle\nt,\n")


@pytest.fixture
def pixel_store(tmp_path: Path) -> Callable[..., PixelStore]:
    """A function that writes tiles.h5 from image_id → pixels (Z, H, W, C), with random labels 0, 1 and 255."""

    def write(images: dict[str, np.ndarray], labels: dict[str, np.ndarray] | None = None) -> PixelStore:
        rng = np.random.default_rng(0)
        path = tmp_path / "tiles.h5"
        with h5py.File(path, "w") as file:
            file.attrs["digest"] = "d"
            for name, pixels in images.items():
                group = create_image(file, name, pixels.shape, pixels.shape[1:3], classes=1)
                group.attrs["scale"] = 1.0
                group["pixels"][:] = pixels
                drawn = rng.choice(np.array([0, 1, 255], np.uint8), pixels.shape[:3])
                group["labels"][:] = labels[name] if labels else drawn
        return PixelStore(path)

    return write


@pytest.fixture
def model() -> Callable[..., Model]:
    """A function that builds a tiny `models:` entry with some keys changed."""

    def build(**changes: object) -> Model:
        tiny = {
            "decoder": "Unet", "encoder": "tu-test_resnet.r160_in1k", "size": 32, "epochs": 2, "batch": 2, "lr": 1e-3,
            "arguments": {"decoder_channels": [16, 16, 8, 8, 8]}, "loss": {"bce": 1.0},
        }  # fmt: skip
        return Model(**tiny | changes)

    return build


class MemoryEvidence(Evidence):
    """`Evidence` over arrays: maps model → (rows, C, H, W) uint8, or view → such; labels (rows, H, W) of 0, 1 and 255."""

    def __init__(self, maps: dict[str, np.ndarray], labels: np.ndarray, **columns: object):
        names = [f"r{row}" for row in range(len(labels))]
        given = {"row_id": names, "item": names, "z": 0, "fold": 0, "group": names, "stratum": "", "domain": ""}
        self.rows = pd.DataFrame(given | {"pixel_size": 1.0} | columns, index=range(len(labels)))
        by_view = {model: one if isinstance(one, dict) else {"identity": one} for model, one in maps.items()}
        self.models, self.views, self._maps, self._labels = (
            list(maps),
            list(next(iter(by_view.values()), ())),
            by_view,
            labels,
        )
        self.task = Binary(["a"])

    def maps(self, row: int, models: list[str], views: list[str]) -> np.ndarray:
        return np.stack([np.mean([self._maps[model][view][row] for view in views], 0, np.float32) for model in models])

    def truth(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        return self.task.encode_target(self._labels[row])


@pytest.fixture
def memory_evidence() -> type[MemoryEvidence]:
    """The class of evidence over arrays."""
    return MemoryEvidence

"""One image, channels last, to its map of probabilities: ours, and what one would take instead."""

import re
import shutil
import time
from contextlib import nullcontext
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from torch import nn

from tessera.data.boxes import BOX
from tessera.data.pixels import PixelStore, create_image
from tessera.params.model import Model
from tessera.params.predict import Predict
from tessera.predict.predictor import Predictor
from tessera.predict.sweep import BATCH
from tessera.predict.windows import build_weights, plan_windows
from tessera.predict.write import write_predictions
from tessera.tasks import Binary

WINDOW = 512
CPU = torch.device("cpu")
MODEL = Model(
    decoder="Unet", encoder="tu-test_resnet.r160_in1k", size=WINDOW, epochs=1, batch=1, lr=1e-3, loss={"bce": 1.0}
)


class Tiny(nn.Module):
    """Windows (B, 3, H, W) of any type → logits (B, 1, H, W): so little that the rest can be seen."""

    def __init__(self, channels: int = 3):
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Conv2d(channels, 16, 4, stride=4).to(memory_format=torch.channels_last)
        self.up = nn.ConvTranspose2d(16, 1, 4, stride=4).to(memory_format=torch.channels_last)

        self.seconds = 0.0  # CPU seconds of all forward passes

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        start = time.process_time()
        pixels = (windows.float() / 128 - 1).contiguous(memory_format=torch.channels_last)
        logits = self.up(self.down(pixels).relu())
        self.seconds += time.process_time() - start
        return logits


class Probabilities(nn.Module):
    """What peers are given: the same network with its sigmoid."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.network(windows).float().sigmoid()


def write_image(path: Path, shape: tuple[int, int, int], noise: bool = True) -> PixelStore:
    """tiles.h5 with one image "image" (H, W, C) of noise, or of holes in the file."""
    with h5py.File(path, "w") as file:
        group = create_image(file, "image", (1, *shape), shape[:2], classes=0)
        group.attrs["scale"] = 1.0
        if noise:
            rng = np.random.default_rng(0)
            for y in range(0, shape[0], 256):
                group["pixels"][0, y : y + 256] = rng.integers(0, 256, (min(256, shape[0] - y), *shape[1:]), np.uint8)
    return PixelStore(path)


def our_predictor(network: nn.Module, overlap: float, views: tuple[str, ...] = ("identity",)) -> Predictor:
    predict = Predict(window=WINDOW, overlap=overlap, views=list(views), store="merged" if len(views) > 1 else "views")
    return Predictor([network], MODEL, predict, Binary(["a"]), CPU, nullcontext)


def ours(store: PixelStore, network: nn.Module, overlap: float, views: tuple[str, ...] = ("identity",)) -> np.ndarray:
    """What the stages do, but for the compression of what they write: uint8."""
    found, row = np.empty((1, *store.shape("image")[1:]), np.uint8), 0
    for maps in our_predictor(network, overlap, views).blocks(store, "image", 0):
        (values,) = maps.values()
        found[:, row : row + values.shape[1]] = values
        row += values.shape[1]
    return found


@torch.inference_mode()
def crop_and_forward(store: PixelStore, network: nn.Module, overlap: float, forwards: int = 1) -> None:
    """What nobody can do without."""
    image, network = _image(store), Probabilities(network)
    for places in _batches(image, overlap):
        windows = torch.from_numpy(np.stack([image[y : y + WINDOW, x : x + WINDOW] for y, x in places]))
        for _ in range(forwards):
            network(windows.permute(0, 3, 1, 2))


@torch.inference_mode()
def naive(store: PixelStore, network: nn.Module, overlap: float) -> np.ndarray:
    """What one writes by hand in numpy."""
    image, network = _image(store), Probabilities(network)
    weights = np.outer(*build_weights("gaussian", (WINDOW, WINDOW), overlap))
    total, count = np.zeros((1, *image.shape[:2])), np.zeros(image.shape[:2])
    for places in _batches(image, overlap):
        windows = np.stack([image[y : y + WINDOW, x : x + WINDOW].transpose(2, 0, 1) for y, x in places])
        for (y, x), values in zip(places, network(torch.from_numpy(windows)).numpy(), strict=True):
            total[:, y : y + WINDOW, x : x + WINDOW] += values * weights
            count[y : y + WINDOW, x : x + WINDOW] += weights
    return total / count


@torch.inference_mode()
def monai(store: PixelStore, network: nn.Module, overlap: float) -> np.ndarray:
    """`sliding_window_inference` works in the type of its input, which therefore is made float32."""
    from monai.inferers import sliding_window_inference

    pixels = torch.from_numpy(_image(store).astype(np.float32)).permute(2, 0, 1)[None]
    store.forget()
    return sliding_window_inference(
        pixels, WINDOW, BATCH, Probabilities(network), overlap=overlap, mode="gaussian"
    ).numpy()[0]


@torch.inference_mode()
def toolbelt(store: PixelStore, network: nn.Module, overlap: float) -> np.ndarray:
    from pytorch_toolbelt.inference.tiles import ImageSlicer, TileMerger

    image, network = _image(store), Probabilities(network)
    slicer = ImageSlicer(image.shape, WINDOW, round(WINDOW * (1 - overlap)), weight="pyramid")
    merger = TileMerger(slicer.target_shape, 1, slicer.weight)
    tiles = slicer.split(image)
    for start in range(0, len(tiles), BATCH):
        windows = torch.from_numpy(np.stack(tiles[start : start + BATCH])).permute(0, 3, 1, 2)
        merger.integrate_batch(network(windows), slicer.crops[start : start + BATCH])
    return slicer.crop_to_orignal_size(merger.merge().numpy().transpose(1, 2, 0)).transpose(2, 0, 1)


def ttach_in_ours(store: PixelStore, network: nn.Module, overlap: float) -> np.ndarray:
    """ttach around the network, all else ours."""
    import ttach

    wrapped = ttach.SegmentationTTAWrapper(network, ttach.Compose([ttach.HorizontalFlip()]), merge_mode="mean")
    return ours(store, wrapped, overlap)


def write(path: Path, store: PixelStore, network: nn.Module, overlap: float) -> None:
    """What the stages do."""
    height, width = store.shape("image")[1:]
    items = pd.DataFrame(
        [("i", "image", 0, 1, 0, height, 0, width, height, width)], columns=["item", *BOX, "height", "width"]
    )
    finished = path.with_suffix("")
    write_predictions(path, our_predictor(network, overlap), store, items, {}, finished)
    shutil.rmtree(finished)


def warm_up(what: str, store: PixelStore, network: nn.Module) -> int:
    """Imports, and predicts a batch; `peak` so far."""
    if what == "monai":
        import monai.inferers  # noqa: F401
    with torch.inference_mode():
        image = _image(store)[:WINDOW, :WINDOW]
        for _ in range(3):
            Probabilities(network)(torch.from_numpy(np.stack([image] * BATCH)).permute(0, 3, 1, 2))
    store.forget()
    return peak()


def peak() -> int:
    """The peak of this program's resident set, KB: what getrusage says counts the process that started it, too."""
    return int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1])


def _image(store: PixelStore) -> np.ndarray:
    """The map of the file."""
    return store.view_stack("image", [0], (0, 0, *store.shape("image")[1:]))


def _batches(image: np.ndarray, overlap: float) -> list[list[tuple[int, int]]]:
    plan = plan_windows(*image.shape[:2], WINDOW, overlap, 32)
    places = [(place.y, place.x) for row in plan.rows for place in row]
    return [places[start : start + BATCH] for start in range(0, len(places), BATCH)]

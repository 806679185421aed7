"""Images a second that training reaches with each loader, beside a naive loop and the network alone. Needs a GPU.

uv run python -m benchmarks.training_gpu [--quick]

Some three minutes on an H100, of rented time: what is known is written after each network.

--quick: a tiny network and a few small steps on whatever is there, nothing written to results/; it shows that all runs.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

import cv2
import h5py
import numpy as np
import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader, Dataset

from benchmarks.results import checkout, claim, write_results
from tessera import machine
from tessera.data.pixels import PixelStore, create_image
from tessera.learn.augmentations.build import build_augmentation
from tessera.learn.dataset import Shape, Windows
from tessera.learn.loop import Batch, Setup, train_epoch
from tessera.learn.losses.build import build_loss
from tessera.learn.mixing import build_mixing
from tessera.learn.on_device.choice import build_loader
from tessera.learn.run import Run
from tessera.learn.training import Training
from tessera.machine import Machine
from tessera.params.model import Model
from tessera.tasks import Binary

COMMAND = "uv run python -m benchmarks.training_gpu"
GOAL = 0.95  # of the network alone
KERNELS = "kernels alone"
NETWORKS = {
    "Unet-resnet34": ("Unet", "resnet34", {}),
    "Unet-efficientnet-b3": ("Unet", "efficientnet-b3", {}),
    "UPerNet-swin-tiny": ("UPerNet", "tu-swin_tiny_patch4_window7_224", {"strict_img_size": False}),
}
TINY = {"tiny": ("Unet", "tu-test_resnet.r160_in1k", {"decoder_channels": [16, 16, 8, 8, 8]})}
AUGMENT = {"scale": 0.2, "rotate": 30, "brightness": 0.2, "contrast": 0.2}
TASK = Binary(["a"])


class Size(NamedTuple):
    """How much is measured."""

    side: int  # px of each of four images
    window: int  # px
    batch: int
    workers: int  # of our loader; the naive loop has twice as many
    warm: int  # steps before the clock starts
    steps: int
    rounds: int


FULL, QUICK = Size(4096, 512, 16, 8, 5, 20, 5), Size(160, 64, 2, 0, 1, 2, 1)


class Way(NamedTuple):
    """A way to have batches."""

    batches: Callable[[], Iterable[Batch]]
    meanwhile: Callable[[], None] = lambda: None  # see `Setup`


def main(quick: bool) -> None:
    if not quick and not torch.cuda.is_available():
        print("benchmarks.training_gpu: not measured, there is no GPU here (--quick shows that it runs)")
        return
    begun, device = checkout(), machine.device()
    size, networks, found = (QUICK, TINY, {}) if quick else (FULL, NETWORKS, {})
    with tempfile.TemporaryDirectory() as temporary:
        store = write_images(Path(temporary), size)
        for name, of in networks.items():
            found[name] = compare(Path(temporary), store, *of, size, device)
            if not quick:
                write(found, f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}", size, begun)
    if quick:
        rates = {name: _medians(by_way) for name, by_way in found.items()}
        print(json.dumps({"on": device.type, "img/s": rates, "rows of a GPU": "not measured"}, indent=1))


def write(found: dict[str, dict[str, list[float]]], on: str, size: Size, begun: dict) -> None:
    """Writes results/ of the networks that are measured so far. on: the GPU. begun: the checkout when it all began."""
    header, body, rows = ["img/s, median of rounds"], [], []
    for name in NETWORKS:
        what, goal = f"{name}: loader device beside the network alone", f"≥ {GOAL}"
        if name not in found:
            rows.append(claim(what, "not measured", goal, False))
            continue
        rates, shares = _medians(found[name]), np.divide(found[name]["device"], found[name]["network alone"])
        share = float(median(shares))
        header[1:] = [*rates, "device / network alone", "range"]
        body.append([name, *map(round, rates.values()), round(share, 4), f"{min(shares):.3f}…{max(shares):.3f}"])
        rows.append(claim(what, round(share, 4), goal, share >= GOAL))
    note = (
        f"{on}; {size.window} px, batch {size.batch}, bf16; augment {AUGMENT}; {size.rounds} interleaved rounds of "
        f"{size.steps} steps; {size.workers} workers, {2 * size.workers} of the naive loop."
    )
    write_results("training_gpu", "Training on a GPU", COMMAND, [(header, body)], rows, note, begun, rounds=found)


def _medians(by_way: dict[str, list[float]]) -> dict[str, float]:
    return {way: median(each) for way, each in by_way.items()}


def compare(
    folder: Path, store: PixelStore, decoder: str, encoder: str, arguments: dict, size: Size, device: torch.device
) -> dict[str, list[float]]:
    """Images a second of each way to have batches, in interleaved rounds."""
    model = Model(
        decoder=decoder, encoder=encoder, arguments=arguments, size=size.window, epochs=1, batch=size.batch, lr=1e-4,
        loss={"bce": 1.0, "dice": 1.0}, ema=0.99, augment=AUGMENT,
    )  # fmt: skip
    ways = {
        "network alone": Way(_resident(store, model, device)), "device": _loaded(store, model, size, device, "device"),
        "workers": _loaded(store, model, size, device, "workers"), "naive": Way(_naive(folder, model, size, device)),
    }  # fmt: skip
    run = Training(model, TASK, "bf16", Machine(device)).start(3, 10_000, pd.DataFrame())
    loss = build_loss(model.loss, model.auxiliary)
    setup = Setup(loss, build_mixing(model.mix), model.seed, device, "bf16", None, print)
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(size.rounds):
        for name, way in ways.items():
            rates[name].append(_rate(run, iter(way.batches()), setup._replace(meanwhile=way.meanwhile), size))
    if device.type == "cuda":
        rates[KERNELS] = [_kernels_alone(run, ways["network alone"].batches(), setup, size)]
    print(decoder, encoder, {way: f"{median(found):.1f}" for way, found in rates.items()}, flush=True)
    return rates


def _kernels_alone(run: Run, batches: Iterable[Batch], setup: Setup, size: Size) -> float:
    """Images a second if the GPU never waited for a kernel to be launched."""
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        train_epoch(run, islice(batches, size.warm), setup, lambda: None)
        _wait(setup.device)
    seconds = sum(kernel.self_device_time_total for kernel in found.key_averages()) / 1e6
    return size.warm * size.batch / seconds


def _rate(run: Run, batches: Iterable[Batch], setup: Setup, size: Size) -> float:
    """Images a second of our loop over the batches, all of whose steps are done when the clock stops."""
    train_epoch(run, islice(batches, size.warm), setup, lambda: None)
    _wait(setup.device)
    start = time.perf_counter()
    train_epoch(run, islice(batches, size.steps), setup, lambda: None)
    _wait(setup.device)
    return size.steps * size.batch / (time.perf_counter() - start)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _items(store: PixelStore, model: Model) -> Windows:
    """As many windows as any round needs, drawn once."""
    draw, side = np.random.default_rng(0), store.shape("0")[1]
    places = [(str(draw.integers(4)), 0, *draw.integers(0, side - model.size + 1, 2)) for _ in range(256)]
    patches = pd.DataFrame(places, columns=["image_id", "z", "y", "x"])
    return Windows(store, patches, model.size, Shape.of(model), build_augmentation(model, 3, TASK))


def _loaded(store: PixelStore, model: Model, size: Size, device: torch.device, loader: str) -> Way:
    items = _items(store, model)
    made = build_loader(items, items, model, TASK, size.batch, Machine(device, size.workers, loader=loader), print)
    order = np.arange((size.warm + size.steps + 1) * size.batch)  # the last step lets a batch be made like any other
    return Way(lambda: made.epoch(0, order, 0), made.make_next)


def _resident(store: PixelStore, model: Model, device: torch.device) -> Callable[[], Iterable[Batch]]:
    """One batch, over and over: what the network does when it never waits."""
    items = _items(store, model)
    pairs = [items[number] for number in range(model.batch)]
    windows, labels = (torch.stack(tensors) for tensors in zip(*pairs, strict=True))
    batch = _sent(Batch(torch.arange(model.batch), windows, *TASK.encode_target(labels)), device)
    return lambda: (batch for _ in iter(int, 1))


def _sent(batch: Batch, device: torch.device) -> Batch:
    return Batch(batch.items, *(tensor.to(device, non_blocking=True) for tensor in batch[1:]))


class _Files(Dataset):
    """PNG patches and masks, decoded and changed as tutorials do it."""

    def __init__(self, folder: Path, model: Model, length: int):
        self.folder, self.size, self.length = folder, model.size, length
        self.augmentation = build_augmentation(model, 3, TASK)
        self.count = len(list(folder.glob("image_*.png")))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> Batch:
        name = f"{number % self.count}.png"
        image = cv2.cvtColor(cv2.imread(str(self.folder / f"image_{name}")), cv2.COLOR_BGR2RGB)
        labels = cv2.imread(str(self.folder / f"mask_{name}"), cv2.IMREAD_GRAYSCALE)
        image, labels = self.augmentation(image, labels, number)
        target, valid = TASK.encode_target(torch.from_numpy(labels))
        return Batch(number, torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), target, valid)


def _naive(folder: Path, model: Model, size: Size, device: torch.device) -> Callable[[], Iterable[Batch]]:
    files = _Files(folder, model, (size.warm + size.steps) * size.batch)
    workers, pin = 2 * size.workers, torch.cuda.is_available()
    loader = DataLoader(files, size.batch, num_workers=workers, pin_memory=pin, persistent_workers=workers > 0)
    return lambda: (_sent(batch, device) for batch in loader)


def write_images(folder: Path, size: Size) -> PixelStore:
    """Four images of blots in tiles.h5, and their patches as PNG files."""
    draw = np.random.default_rng(0)
    with h5py.File(folder / "tiles.h5", "w") as file:
        file.attrs["digest"] = "generated"
        for name in range(4):
            blots = draw.integers(30, 220, (size.side // 16, size.side // 16, 3), np.uint8)
            image = cv2.resize(blots, (size.side, size.side)) + draw.integers(0, 9, (size.side, size.side, 3), np.uint8)
            group = create_image(file, str(name), (1, *image.shape), image.shape[:2], classes=1)
            group.attrs["scale"] = 1.0
            group["pixels"][0], group["labels"][0] = image, labels = image, (image[..., 0] > 128).astype(np.uint8)
            _write_patches(folder, image, labels, size.window)
    return PixelStore(folder / "tiles.h5")


def _write_patches(folder: Path, image: np.ndarray, labels: np.ndarray, window: int) -> None:
    first = len(list(folder.glob("image_*.png")))
    places = [
        (y, x) for y in range(0, len(image) - window + 1, window) for x in range(0, len(image) - window + 1, window)
    ]
    for number, (y, x) in enumerate(places, first):
        cut = slice(y, y + window), slice(x, x + window)
        cv2.imwrite(str(folder / f"image_{number}.png"), cv2.cvtColor(image[cut], cv2.COLOR_RGB2BGR))
        cv2.imwrite(str(folder / f"mask_{number}.png"), labels[cut])


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])

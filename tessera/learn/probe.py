"""What a training does in its first steps, in a few numbers: by them it is known again after its code was edited.

Two steps of a few windows and a score, on the CPU, in single precision and one thread, through the code of the training
itself: windows, augmentation, network, loss, optimiser, schedule, EMA. What these cannot show is digested as it is planned:
the order and seed of every epoch, some windows of the last one, the learning rate of every step, the optimiser's groups,
what is frozen when, which epochs are scored and kept and when training stops, what precision is asked for. What may not
happen to a few windows (mixup, a transform of p 0.1) is told by the values that were given, defaults too.

Not seen: an edit of the code of such a thing where it did not happen, or of what the loop does otherwise in a later epoch
than the first; what a GPU alone runs; what ranks exchange and share out; going on from a saved step. Where a GPU made the
windows, or ranks trained, `known.unseen` judges by the files that were edited.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

import numpy as np
import pandas as pd
import torch
from torch import nn

from tessera import machine
from tessera.data.boxes import BOX
from tessera.learn import ranks
from tessera.learn.kept import Kept
from tessera.learn.loading import Loader
from tessera.learn.optimiser import set_training
from tessera.learn.precision import autocast
from tessera.learn.progress import Clock
from tessera.learn.resolved import resolved
from tessera.learn.run import Run
from tessera.learn.sampling import draw_epoch
from tessera.learn.training import Material, Training

RISING = (0.1, 0.3, None, 0.2, 0.25)  # made-up scores of the first epochs
FALLING = (0.4, 0.2, None, 0.4, 0.3)  # of those after them, over and over: a last rise, ties, none better
STEPS = 2
WINDOWS = 2  # of a micro-batch, at most: batch-norm needs two
LIBRARIES = ("torch", "numpy", "timm", "segmentation-models-pytorch", "albumentations", "opencv-python-headless")


def probe(training: Training, material: Material) -> dict:
    """Digests of a training that has not begun, what it was given, and where they were computed.

    Draws from torch's random numbers, of which a training seeds its own.
    """
    model, before, train = training.model, training.on_cpu(), material.patches
    parts = min(model.accumulate, 2)
    batch = parts * min(model.batch // model.accumulate, WINDOWS)
    few = training.on_cpu(epochs=1, patches=STEPS * batch, batch=batch, accumulate=parts, freeze=0)
    with _alone(), ranks.alone():
        planned = _plan(before, train, material.channels) | {
            "windows": _digest([_last_windows(before, material)]), "precision": _precision(training.amp),
        }  # fmt: skip
        run = few.fit(material, _scored(train, material.patch_size), None, _Silent("probe", 1))
    (row,) = run.history
    return planned | {
        "given": resolved(model), "loss": row["loss"], "score": row["score"], "weights": _digest(_weights(run)),
        "on": {"cpu": machine.processor()} | {name: version(name) for name in LIBRARIES},
    }  # fmt: skip


class _Silent(Clock):
    def note(self, text: str) -> None:
        pass

    def say(self, row: dict) -> None:
        pass


@contextmanager
def _alone() -> Iterator[None]:
    """One thread, and full precision of matrix products: neither may change the last bits."""
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)


def _plan(training: Training, train: pd.DataFrame, channels: int) -> dict[str, str]:
    """What a training will do, epoch by epoch and step by step."""
    epochs = range(training.model.epochs)
    steps = training.batches(train)[1] * len(epochs)
    run = training.start(channels, steps, train)
    constants = ("initial_lr", "weight_decay", "betas", "eps")
    groups = [
        [group[name] for name in constants] + [tuple(parameter.shape) for parameter in group["params"]]
        for group in run.optimiser.param_groups
    ]
    ends = list(_ends(run.kept))
    first = ends[: len(RISING)]  # all that older probes tell
    return {
        "kept": _digest([*(stops for stops, _ in first), first[-1][1]]),
        "ends": _digest(ends),
        "scored": _digest(training.is_scored(epoch + 1) for epoch in epochs),
        "groups": _digest([type(run.optimiser).__name__, groups]),
        "rates": _digest(
            f"{factor(step):.9g}" for factor in dict.fromkeys(run.schedule.lr_lambdas) for step in range(steps)
        ),
        "orders": _digest(
            drawn for epoch in epochs for drawn in (training.seed(epoch), draw_epoch(train, training.model, epoch))
        ),
        "frozen": _digest(_learning(training, run, epoch) for epoch in epochs),
    }


def _learning(training: Training, run: Run, epoch: int) -> list[bool]:
    """Of each parameter whether it learns, of each module whether it is in training mode."""
    set_training(run.network, training.model, epoch)
    return [one.requires_grad for one in run.network.parameters()] + [one.training for one in run.network.modules()]


def _ends(kept: Kept) -> Iterator[tuple[bool, tuple]]:
    """Of made-up epochs, more than are waited for or kept: whether training stops there, and what it would end with."""
    network = nn.Linear(1, 1)
    rounds = max(kept.patience or 0, kept.count) + 2
    for epoch, score in enumerate(RISING + FALLING * rounds, 1):
        nn.init.constant_(network.weight, epoch)
        kept.offer(epoch, score, network)
        kept.finish(network)
        yield kept.exhausted, (kept.numbers, network.weight.item())


def _last_windows(training: Training, material: Material) -> np.ndarray:
    """Those that the last epoch begins with, (B, C, H, W) uint8, as a loader makes them."""
    last = training.model.epochs - 1
    items, order = training.items(material), draw_epoch(material.patches, training.model, last)[:WINDOWS]
    loader = Loader(items, items, training.task, len(order), workers=0, device=training.device)
    (batch,) = loader.epoch(last, order, done=0)
    return batch.windows.numpy()


def _precision(amp: str) -> str:
    with autocast(torch.device("cpu"), amp):
        return f"{torch.is_autocast_enabled('cpu')} {torch.get_autocast_dtype('cpu')}"


def _scored(train: pd.DataFrame, size: int) -> pd.DataFrame:
    """The patch with most positives, as a held-out part."""
    patch = train.loc[train.positive_fraction.idxmax()]
    box = patch.image_id, patch.z, patch.z + 1, patch.y, patch.y + size, patch.x, patch.x + size
    return pd.DataFrame([box], columns=BOX)


def _weights(run: Run) -> Iterator[np.ndarray]:
    for network in (run.network, run.ema.network):
        for tensor in network.state_dict().values():
            yield tensor.contiguous().numpy()


def _digest(values: Iterable) -> str:
    sha = hashlib.sha256()
    for value in values:
        sha.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return sha.hexdigest()[:16]

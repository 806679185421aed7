"""What a training does in its first steps, in a few numbers: by them it is known again after its code was edited.

Two steps of a few windows, on the CPU, in single precision and one thread, through the code of the training itself:
windows, augmentation, order, network, loss, optimiser, schedule, EMA. What two steps cannot show is digested as it is
planned: the order and seed of every epoch, the learning rate of every step, the optimiser's groups, what is frozen when.

Not seen: what runs on a GPU alone, mixed precision, scoring, and which epochs are kept.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

import numpy as np
import pandas as pd
import torch

from tessera import machine
from tessera.data.pixels import PixelStore
from tessera.learn.optimiser import set_training
from tessera.learn.progress import Clock
from tessera.learn.run import Run
from tessera.learn.training import Training

STEPS = 2
WINDOWS = 2  # of a micro-batch, at most: batch-norm needs two
LIBRARIES = ("torch", "numpy", "timm", "segmentation-models-pytorch", "albumentations", "opencv-python-headless")


def probe(training: Training, store: PixelStore, train: pd.DataFrame, patch_size: int, channels: int) -> dict:
    """Digests of a training that has not begun, and where they were computed; arguments as `Training.fit`.

    Draws from torch's random numbers, of which a training seeds its own.
    """
    model, before = training.model, training.on_cpu()
    parts = min(model.accumulate, 2)
    batch = parts * min(model.batch // model.accumulate, WINDOWS)
    few = training.on_cpu(epochs=1, patches=STEPS * batch, batch=batch, accumulate=parts, freeze=0)
    with _alone():
        planned = _plan(before, train, channels)
        run = few.fit(store, train, None, patch_size, channels, None, _Silent("probe", 1))
    return planned | {
        "loss": run.history[0]["loss"], "weights": _digest(_weights(run)),
        "on": {"cpu": machine.processor()} | {name: version(name) for name in LIBRARIES},
    }  # fmt: skip


class _Silent(Clock):
    def note(self, text: str) -> None:
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
    return {
        "groups": _digest([type(run.optimiser).__name__, groups]),
        "rates": _digest(
            f"{factor(step):.9g}" for factor in dict.fromkeys(run.schedule.lr_lambdas) for step in range(steps)
        ),
        "orders": _digest(drawn for epoch in epochs for drawn in (training.seed(epoch), training.order(train, epoch))),
        "frozen": _digest(_learning(training, run, epoch) for epoch in epochs),
    }


def _learning(training: Training, run: Run, epoch: int) -> list[bool]:
    """Of each parameter whether it learns, of each module whether it is in training mode."""
    set_training(run.network, training.model, epoch)
    return [one.requires_grad for one in run.network.parameters()] + [one.training for one in run.network.modules()]


def _weights(run: Run) -> Iterator[np.ndarray]:
    for network in (run.network, run.ema.network):
        for tensor in network.state_dict().values():
            yield tensor.contiguous().numpy()


def _digest(values: Iterable) -> str:
    sha = hashlib.sha256()
    for value in values:
        sha.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return sha.hexdigest()[:16]

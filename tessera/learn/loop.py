"""The training loop: an epoch of steps, a score of the fold, and the state that a killed run goes on from."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from tessera.errors import InputError
from tessera.learn.ema import Ema
from tessera.learn.losses.build import Loss
from tessera.learn.precision import autocast
from tessera.metrics.counts import count
from tessera.tasks import Binary

Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]  # images (B, C, H, W) uint8, labels (B, H, W) uint8


@dataclass
class Run:
    """All that changes while a model is trained."""

    network: nn.Module
    ema: Ema
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR
    scaler: torch.amp.GradScaler
    epoch: int = 0  # finished ones
    history: list[dict] = field(default_factory=list)
    best: dict | None = None  # weights of the best epoch, where they are kept
    best_score: float = -1.0

    def state(self) -> dict:
        """Everything a later process needs to go on, of tensors and plain values only."""
        return {
            "network": self.network.state_dict(), "ema": self.ema.network.state_dict(), "ema_steps": self.ema.steps,
            "optimiser": self.optimiser.state_dict(), "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(), "epoch": self.epoch, "history": self.history,
            "best": self.best, "best_score": self.best_score,
        }  # fmt: skip

    def restore(self, state: dict) -> None:
        """Goes back to a `state()`."""
        self.network.load_state_dict(state["network"])
        self.ema.network.load_state_dict(state["ema"])
        self.ema.steps = state["ema_steps"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self.epoch, self.history = state["epoch"], state["history"]
        self.best, self.best_score = state["best"], state["best_score"]


def train_epoch(
    run: Run, batches: Batches, loss: Loss, task: Binary, device: torch.device, amp: str, clip: float | None
) -> dict:
    """One pass over the batches. Returns loss (mean over images), images, seconds and the share waited for data.

    Raises InputError when the loss is no longer finite.
    """
    run.network.train()
    total, images, waited, start = 0.0, 0, 0.0, time.perf_counter()
    for windows, labels, wait in _timed(
        tqdm(batches, desc=f"epoch {run.epoch + 1}", unit="batch", leave=False, disable=None)
    ):
        value = _step(run, windows.to(device, non_blocking=True), labels, loss, task, device, amp, clip)
        if not np.isfinite(value):
            raise InputError(
                f"the loss is {value} in epoch {run.epoch + 1} after {images} images, at learning rate "
                f"{run.schedule.get_last_lr()[0]:.2e}: lower lr, or set clip, or use amp: bf16 or none"
            )
        total, images, waited = total + value * len(windows), images + len(windows), waited + wait
    seconds = time.perf_counter() - start
    return {"loss": total / images, "images": images, "seconds": seconds, "data_wait": waited / seconds}


def _step(
    run: Run,
    windows: torch.Tensor,
    labels: torch.Tensor,
    loss: Loss,
    task: Binary,
    device: torch.device,
    amp: str,
    clip: float | None,
) -> float:
    target, valid = (torch.from_numpy(array).to(device, torch.float32) for array in task.encode_target(labels.numpy()))
    with autocast(device, amp):
        predicted = run.network(windows)
    value = loss(predicted, target, valid)
    run.optimiser.zero_grad(set_to_none=True)
    run.scaler.scale(value).backward()
    if clip:
        run.scaler.unscale_(run.optimiser)
        nn.utils.clip_grad_norm_(run.network.parameters(), clip)
    run.scaler.step(run.optimiser)
    run.scaler.update()
    run.schedule.step()
    run.ema.update(run.network)
    return value.item()


@torch.inference_mode()
def validate(network: nn.Module, batches: Batches, task: Binary, device: torch.device, amp: str) -> np.ndarray:
    """Counts (windows, C, 3) at probability 0.5 of a network in evaluation mode."""
    counts = []
    for windows, labels in batches:
        with autocast(device, amp):
            logits = network(windows.to(device))
        masks = task.probabilities(logits).cpu().numpy() >= 0.5
        counts += [count(mask, *task.encode_target(label)) for mask, label in zip(masks, labels.numpy(), strict=True)]
    return np.stack(counts)


def keep_best(run: Run, score: float) -> None:
    """Remembers the averaged weights when `score` is the best so far."""
    if score > run.best_score:
        run.best_score = score
        run.best = {name: tensor.detach().clone() for name, tensor in run.ema.network.state_dict().items()}


def _timed(batches: Batches) -> Iterator[tuple[torch.Tensor, torch.Tensor, float]]:
    """Adds the seconds that each batch was waited for."""
    iterator, start = iter(batches), time.perf_counter()
    for windows, labels in iterator:
        yield windows, labels, time.perf_counter() - start
        start = time.perf_counter()

"""The running sums of an epoch."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from tessera.errors import InputError


class Step(NamedTuple):
    """What is remembered of a step until its loss is looked at."""

    loss: torch.Tensor  # scalar, where it was computed
    items: torch.Tensor  # (B,) numbers of its items
    lr: float
    epoch: int
    number: int  # in the epoch, from 1


@dataclass
class Sums:
    """Loss, images, seconds and seconds waited for data of the steps of an epoch so far.

    Reading a loss waits for the GPU, so `every` steps are read at once; a state is never saved before they are.
    name: item → how a person finds it.
    """

    name: Callable[[int], str]
    every: int = 1
    loss: float = 0.0  # summed over images
    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    _unread: list[Step] = field(default_factory=list)

    def add(self, step: Step, seconds: float, waited: float) -> None:
        """Takes in a step. Raises InputError when the loss of one is not finite."""
        self.seconds, self.waited = self.seconds + seconds, self.waited + waited
        self._unread.append(step)
        if len(self._unread) >= self.every:
            self._read()

    def row(self) -> dict:
        """The epoch for its history: loss is the mean over images, data_wait a share of the seconds."""
        self._read()
        return {
            "loss": self.loss / self.images, "images": self.images, "seconds": self.seconds,
            "data_wait": self.waited / self.seconds,
        }  # fmt: skip

    def clear(self) -> None:
        self.restore({"loss": 0.0, "images": 0, "seconds": 0.0, "waited": 0.0})

    def state(self) -> dict[str, float]:
        self._read()
        return {"loss": self.loss, "images": self.images, "seconds": self.seconds, "waited": self.waited}

    def restore(self, state: dict[str, float]) -> None:
        self.loss, self.images, self.seconds, self.waited = (
            state[key] for key in ("loss", "images", "seconds", "waited")
        )

    def _read(self) -> None:
        steps, self._unread = self._unread, []
        losses = torch.stack([step.loss for step in steps]).tolist() if steps else []
        for step, loss in zip(steps, losses, strict=True):
            if not math.isfinite(loss):
                raise InputError(
                    f"the loss is {loss} in step {step.number} of epoch {step.epoch}, at learning rate {step.lr:.2e}: "
                    "lower lr, or set clip, or use amp: bf16 or none. Its batch was "
                    + ", ".join(self.name(item) for item in step.items.tolist())
                )
            self.loss, self.images = self.loss + loss * len(step.items), self.images + len(step.items)

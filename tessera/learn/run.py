"""All that changes while a model is trained, as something that can be saved and gone back to."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from tessera.errors import InputError
from tessera.learn import ranks
from tessera.learn.ema import Ema
from tessera.learn.kept import Kept
from tessera.learn.sums import Sums


@dataclass
class Run:
    """A training between two steps."""

    network: nn.Module
    ema: Ema
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR
    scaler: torch.amp.GradScaler
    sums: Sums  # of the epoch
    pieces: int = 1  # micro-batches of a step
    epoch: int = 0  # finished ones
    step: int = 0  # finished ones of the epoch
    history: list[dict] = field(default_factory=list)
    kept: Kept = field(default_factory=Kept)
    loader: str | None = None  # that makes its batches, with random changes of its own; None: none has yet

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def load_with(self, loader: str, note: Callable[[str], None]) -> None:
        """Remembers by which loader batches are made from here on; `note` is told when it was another so far."""
        if self.loader not in (None, loader):
            note(
                f"loader {self.loader} changed the windows so far, {loader} does from here on: with other random numbers"
            )
        self.loader = loader

    def begin_epoch(self, seed: int) -> None:
        """Random numbers of the epoch's own, unless it has begun already."""
        if self.step == 0:
            torch.manual_seed(seed)

    def end_epoch(self, row: dict) -> None:
        """Writes the epoch into the history, and offers its averaged weights to be kept."""
        self.epoch, self.step = self.epoch + 1, 0
        self.sums.clear()
        self.history.append(row)
        self.kept.offer(self.epoch, row["score"], self.ema.network)

    def finished(self, epochs: int) -> bool:
        """Whether all epochs are done, or the score has stopped rising for as long as `patience` says."""
        return self.epoch == epochs or self.kept.exhausted

    def state(self) -> dict:
        """Everything a later process needs to go on to the same weights, of tensors and plain values only.

        Of random numbers, those of torch, each rank's own: nothing that is trained draws from numpy's or Python's. All
        else is alike on all ranks, which call this together.

        Raises InputError when a loss or a weight is no longer finite: such a state is not worth keeping.
        """
        sums = self.sums.state()
        self._check_weights()
        return {
            "network": self.network.state_dict(), "ema": self.ema.network.state_dict(), "ema_steps": self.ema.steps,
            "optimiser": self.optimiser.state_dict(), "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(), "sums": sums, "pieces": self.pieces,
            "epoch": self.epoch, "step": self.step, "history": self.history, "loader": self.loader,
            "kept": self.kept.state(), "random": ranks.gathered(random_state(self.device)),
        }  # fmt: skip

    def restore(self, state: dict) -> None:
        """Goes back to a `state()`."""
        self.network.load_state_dict(state["network"])
        self.ema.network.load_state_dict(state["ema"])
        self.ema.steps = state["ema_steps"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self.sums.restore(state["sums"])
        self.pieces, self.epoch, self.step = state["pieces"], state["epoch"], state["step"]
        self.history, self.loader = state["history"], state["loader"]
        self.kept.restore(state["kept"])
        if ranks.rank() < len(state["random"]):  # else there were fewer ranks
            set_random_state(state["random"][ranks.rank()], self.device)

    def _check_weights(self) -> None:
        parameters = [*self.network.parameters(), *self.ema.network.parameters()]
        if not torch.stack([parameter.isfinite().all() for parameter in parameters]).all():
            raise InputError(
                f"weights are no longer finite after step {self.step} of epoch {self.epoch + 1}, at learning rate "
                f"{self.schedule.get_last_lr()[0]:.2e}: lower lr, or set clip, or use amp: bf16 or none"
            )


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Of torch's numbers on the CPU and on the device."""
    cuda = {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {}
    return {"cpu": torch.get_rng_state(), **cuda}


def set_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    """Goes back to a `random_state`."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)

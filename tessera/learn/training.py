"""Trains one model on the patches of one fold split."""

import copy
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from tessera.data.pixels import PixelStore
from tessera.learn.augmentations import build_augmentation
from tessera.learn.dataset import Shape, Windows, draw_epoch
from tessera.learn.ema import Ema
from tessera.learn.first_batch import write_first_batch
from tessera.learn.kept import Kept
from tessera.learn.loading import Loader, each_once
from tessera.learn.loop import Setup, train_epoch, validate
from tessera.learn.losses.build import build_loss
from tessera.learn.networks.build import Segmenter, build_network
from tessera.learn.optimiser import build_optimiser, set_training
from tessera.learn.placing import place_scored
from tessera.learn.progress import Clock
from tessera.learn.resume import Keeper, load_state
from tessera.learn.run import Run
from tessera.learn.schedules import build_schedule
from tessera.learn.sums import Sums
from tessera.machine import Machine
from tessera.metrics.counts import FScore
from tessera.tasks import Binary

if TYPE_CHECKING:
    from tessera.params.model import Model

UNREAD = 16  # losses that wait on a GPU before they are looked at


class Training:
    """What stays the same while a model is trained."""

    def __init__(self, model: "Model", task: Binary, amp: str, machine: Machine):
        self.model, self.task, self.amp, self.machine = model, task, amp, machine
        self.device, self.pinned = machine.device, machine.device.type == "cuda"
        self.shape = Shape.of(model)
        self.build = functools.cache(self._build)  # pretrained weights may come from far

    def on_cpu(self, **changes: object) -> "Training":
        """The same training on the CPU in single precision; changes: of keys of the model that leave its network."""
        other = Training(self.model.model_copy(update=changes), self.task, "none", Machine(torch.device("cpu")))
        other.build = self.build
        return other

    def fit(
        self,
        store: PixelStore,
        train: pd.DataFrame,
        held_out: pd.DataFrame | None,
        patch_size: int,
        channels: int,
        state: Path | None,
        clock: Clock,
    ) -> Run:
        """Trains on the patches `train`, scores on `held_out`; a state at `state` is gone on from, at its very step.

        held_out: the fold's parts as boxes in working px; None: nothing is scored. channels: of an image. state: None:
        nothing is saved. `clock` is told what happens.

        Raises KeyboardInterrupt once it is saved what SIGTERM or SIGINT ended; InputError for a loss that is not
        finite, a state that cannot be saved, a GPU that is too small.
        """
        items = self._items(store, train, patch_size)
        span = self.shape.span
        scored = Windows(store, place_scored(held_out, self.shape, store), span, self.shape)
        batch, steps = self.batches(train)
        run = self.start(channels, steps * self.model.epochs, train)
        if state and (saved := load_state(state, clock.note)):
            run.restore(saved)
        keeper = Keeper(state, self.machine.save_seconds, run.state)
        setup = Setup(
            build_loss(self.model.loss, self.model.auxiliary), self.device, self.amp, self.model.clip, clock.note,
            self.model.least_batch,
        )  # fmt: skip
        loader = Loader(items, self.task, batch, self.machine.workers, self.pinned)

        def after_step() -> None:
            clock.step()
            keeper.after_step()

        clock.start(run, len(items), steps, batch)
        with keeper.listening():
            while not run.finished(self.model.epochs):
                run.begin_epoch(self.seed(run.epoch))
                set_training(run.network, self.model, run.epoch)
                order = self.order(train, run.epoch)
                row = train_epoch(run, loader.epoch(run.epoch, order, run.step), setup, after_step)
                row = {"epoch": run.epoch + 1, "lr": run.schedule.get_last_lr()[0], **row, "score": None}
                due = row["epoch"] % self.model.validate_every == 0 or row["epoch"] == self.model.epochs
                if len(scored) and due:
                    row["score"] = self._score(run, scored, keeper)
                run.end_epoch(row)
                keeper.after_epoch(last=run.finished(self.model.epochs))
                clock.say(row)
        return run

    def draw_first_batch(
        self, path: Path, store: PixelStore, train: pd.DataFrame, patch_size: int, channels: int
    ) -> None:
        """Writes a picture of what the first step will learn from; arguments as `fit`."""
        plain = Windows(store, train, patch_size, self.shape)
        items = self.order(train, 0)[: self.model.batch].tolist()
        write_first_batch(path, plain, self._items(store, train, patch_size), items, channels)

    def _items(self, store: PixelStore, train: pd.DataFrame, patch_size: int) -> Windows:
        augmentation = build_augmentation(self.model.augment)
        return Windows(store, train, patch_size, self.shape, augmentation, self.model.seed)

    def order(self, train: pd.DataFrame, epoch: int) -> np.ndarray:
        positive = (train.positive_fraction > 0).to_numpy()
        return draw_epoch(positive, self.model.patches, self.model.positive_share, self.model.seed, epoch)

    def batches(self, train: pd.DataFrame) -> tuple[int, int]:
        """The windows of a step, and the steps of an epoch."""
        count = self.model.patches or len(train)
        batch = min(self.model.batch, count)
        return batch, count // batch

    def start(self, channels: int, steps: int, train: pd.DataFrame) -> Run:
        """A run before the first of its `steps` steps."""
        network = copy.deepcopy(self.build(channels)).to(self.device)
        ema = Ema(network, self.model.ema)
        if self.machine.compile:
            network.compile()  # in place: the names of its weights stay
        cuda = self.device.type == "cuda"
        optimiser = build_optimiser(network, self.model)
        schedule = build_schedule(self.model.schedule, optimiser, steps, self.model.warmup)
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp == "fp16")
        sums = Sums(lambda item: _place(train, item), every=UNREAD if cuda else 1)
        kept = Kept(self.model.keep, self.model.keep_epochs, self.model.patience)
        return Run(network, ema, optimiser, schedule, scaler, sums, pieces=self.model.accumulate, kept=kept)

    def _build(self, channels: int) -> Segmenter:
        torch.manual_seed(self.model.seed)
        return build_network(self.model, channels, self.task.channels, pretrained=True)

    def seed(self, epoch: int) -> int:
        return np.random.SeedSequence([self.model.seed, epoch]).generate_state(1)[0].item()

    def _score(self, run: Run, scored: Windows, keeper: Keeper) -> float:
        batch = -(-self.model.batch // run.pieces)  # what is known to fit
        batches = keeper.watching(each_once(scored, batch, self.machine.workers, self.pinned))
        counts = validate(run.ema.network, batches, self.task, self.device, self.amp)
        return FScore("pooled", empty=1.0).of(counts)


def _place(patches: pd.DataFrame, item: int) -> str:
    """The patch of an item of `Windows`, for a person to find it."""
    patch = patches.iloc[item % len(patches)]
    return f"({patch.image_id}, z {patch.z}, y {patch.y}, x {patch.x})"

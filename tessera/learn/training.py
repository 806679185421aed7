"""Trains one model on the patches of one fold split."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from tessera.data.boxes import in_label_slices
from tessera.data.pixels import PixelStore
from tessera.learn.augmentations import build_augmentation
from tessera.learn.dataset import Shape, Windows, draw_epoch, windows_of
from tessera.learn.ema import Ema
from tessera.learn.loop import Run, keep_best, train_epoch, validate
from tessera.learn.losses.build import build_loss
from tessera.learn.networks.build import build_network
from tessera.learn.resume import load_state, save_state
from tessera.learn.schedules import build_schedule
from tessera.metrics.counts import FScore
from tessera.tasks import Binary

if TYPE_CHECKING:
    from tessera.params.model import Model


class Training:
    """What stays the same while a model is trained."""

    def __init__(self, model: "Model", task: Binary, device: torch.device, amp: str, workers: int):
        self.model, self.task, self.device, self.amp, self.workers = model, task, device, amp, workers
        self.shape = Shape.of(model)

    def fit(
        self,
        store: PixelStore,
        train: pd.DataFrame,
        held_out: pd.DataFrame,
        patch_size: int,
        channels: int,
        state: Path,
        say: Callable[[dict], None],
    ) -> Run:
        """Trains on the patches `train`, scores on `held_out`; a state at `state` is gone on from.

        held_out: the fold's parts as boxes in working px. channels: of an image. `say` gets each finished epoch's row of the history.
        """
        torch.manual_seed(self.model.seed)
        items = Windows(store, train, patch_size, self.shape, build_augmentation(self.model.augment), self.model.seed)
        span = self.shape.span
        scored = Windows(store, windows_of(in_label_slices(held_out, store), span), span, self.shape)
        count = self.model.patches or len(items)
        batch = min(self.model.batch, count)
        run = self._start(channels, steps=count // batch * self.model.epochs)
        if saved := load_state(state, self.device):
            run.restore(saved)
        loss = build_loss(self.model.loss)
        while run.epoch < self.model.epochs:
            torch.manual_seed(np.random.SeedSequence([self.model.seed, run.epoch]).generate_state(1)[0].item())
            items.epoch = run.epoch
            order = draw_epoch(
                (train.positive_fraction > 0).to_numpy(),
                self.model.patches,
                self.model.positive_share,
                self.model.seed,
                run.epoch,
            )
            row = train_epoch(
                run, self._batches(items, batch, order), loss, self.task, self.device, self.amp, self.model.clip
            )
            run.epoch += 1
            row = {"epoch": run.epoch, "lr": run.schedule.get_last_lr()[0], **row, "score": None}
            if run.epoch % self.model.validate_every == 0 or run.epoch == self.model.epochs:
                row["score"] = self._score(run, scored)
            run.history.append(row)
            save_state(state, run.state())
            say(row)
        return run

    def _start(self, channels: int, steps: int) -> Run:
        network = build_network(self.model, channels, self.task.channels, pretrained=True).to(self.device)
        optimiser = torch.optim.AdamW(network.parameters(), self.model.lr, weight_decay=self.model.weight_decay)
        schedule = build_schedule(self.model.schedule, optimiser, steps, self.model.warmup)
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp == "fp16")
        return Run(network, Ema(network, self.model.ema), optimiser, schedule, scaler)

    def _batches(self, items: Windows, batch: int, order: np.ndarray | None = None) -> DataLoader:
        """Batches in `order`, without a last smaller one; or all items once."""
        return DataLoader(
            items, batch, sampler=None if order is None else order.tolist(), drop_last=order is not None,
            num_workers=self.workers, pin_memory=self.device.type == "cuda",
        )  # fmt: skip

    def _score(self, run: Run, scored: Windows) -> float:
        counts = validate(run.ema.network, self._batches(scored, self.model.batch), self.task, self.device, self.amp)
        value = FScore("pooled", empty=1.0).of(counts)
        if self.model.keep == "best":
            keep_best(run, value)
        return value

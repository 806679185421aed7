"""Batches, made by processes that load ahead."""

import os
from collections.abc import Iterable

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from tessera.learn.dataset import Windows
from tessera.learn.loop import Batch
from tessera.tasks import Binary

AHEAD = 4  # batches that each process has ready


class Loader:
    """Batches of training items, on the CPU; its processes stay alive from epoch to epoch."""

    name = "workers"

    def __init__(self, items: Windows, task: Binary, batch: int, workers: int, pinned: bool):
        self.batch, self.workers, self.pinned = batch, workers, pinned
        self._plan: list[list[tuple[int, int]]] = []  # of the epoch's batches, the (epoch, item) of each window
        self._batches = _loader(_Items(items, task), workers, pinned, batch_sampler=self._plan, persistent=workers > 0)

    def epoch(self, epoch: int, order: np.ndarray, done: int) -> Iterable[Batch]:
        """The batches of `order` without the first `done`, which are not loaded, and without a last smaller one."""
        keys = [(epoch, item) for item in order.tolist()]
        starts = range(done * self.batch, len(keys) - self.batch + 1, self.batch)
        self._plan[:] = [keys[start : start + self.batch] for start in starts]
        return self._batches

    def each_once(self, scored: Windows, batch: int) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of windows (B, C, H, W) and labels (B, H, W, …), uint8: all items, in their order."""
        return _loader(scored, self.workers, self.pinned, batch_size=batch)


class _Items(Dataset):
    """By (epoch, number), so that a process that stays alive knows which epoch an item is for."""

    def __init__(self, items: Windows, task: Binary):
        self.items, self.encode = items, task.encode_soft_target if items.soft else task.encode_target

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        self.items.epoch, number = key
        windows, labels = self.items[number]
        target, valid = self.encode(labels.numpy())
        return Batch(number, windows, torch.from_numpy(target), torch.from_numpy(valid))


def _loader(items: Dataset, workers: int, pinned: bool, persistent: bool = False, **batches: object) -> DataLoader:
    return DataLoader(
        items, **batches, num_workers=workers, pin_memory=pinned, persistent_workers=persistent,
        prefetch_factor=AHEAD if workers else None, worker_init_fn=_begin,
        generator=torch.Generator(),  # of its own: the seeds it draws for its processes are not taken from dropout's
    )  # fmt: skip


def _begin(worker: int) -> None:
    # A signal to the whole group (Ctrl-C, a pre-emption) is for the trainer alone, which saves before it ends.
    os.setpgid(0, 0)

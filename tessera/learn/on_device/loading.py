"""Batches, made on the device that trains."""

from collections.abc import Iterable

import numpy as np
import torch

from tessera.learn.dataset import Windows
from tessera.learn.loading import Made, classes_last
from tessera.learn.loop import Batch
from tessera.learn.on_device.build import Changes
from tessera.learn.on_device.pixels import DevicePixels
from tessera.learn.on_device.turns import Turn
from tessera.learn.on_device.zooming import resize, resize_labels
from tessera.tasks import Binary


class DeviceLoader:
    """Batches of training items, on the device that holds their pixels; the same windows as `Loader`'s, changed in the
    same ways by other random numbers of (seed, epoch, item)."""

    name = "device"

    def __init__(
        self, items: Windows, scored: Windows, task: Binary, batch: int, pixels: DevicePixels, changes: Changes
    ):
        self.items, self.scored, self.batch = items, scored, batch
        self.pixels, self.changes = pixels, changes
        self.encode = task.encode_soft_target if items.soft else task.encode_target

    def epoch(self, epoch: int, order: np.ndarray, done: int) -> Iterable[Batch]:
        """The batches of `order` without the first `done`, and without a last smaller one."""
        starts = range(done * self.batch, len(order) - self.batch + 1, self.batch)
        return Made(lambda numbers: self._batch(epoch, numbers), [order[s : s + self.batch] for s in starts])

    def each_once(self, batch: int) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of windows (B, C, H, W) and labels (B, H, W, …), uint8: all that are scored, in order."""
        numbers = np.arange(len(self.scored))
        parts = [numbers[start : start + batch] for start in range(0, len(numbers), batch)]
        return Made(self._as_they_are, parts)

    def _batch(self, epoch: int, numbers: np.ndarray) -> Batch:
        self.items.epoch = epoch
        places, seeds = zip(*(self.items.place(number) for number in numbers.tolist()), strict=True)
        randoms = [np.random.default_rng(seed) for seed in seeds]
        turns = [self.changes.turn(random) for random in randoms]
        margin, size = self.items.shape.margin, self.items.shape.size
        windows, labels = _sized(*self.pixels.read(self.items, places, turns), size + 2 * margin)
        windows, labels = self.changes.apply(windows, labels, randoms)
        inside = slice(margin, margin + size)
        windows, labels = windows[..., inside, inside].contiguous(), labels[..., inside, inside]
        return Batch(torch.from_numpy(numbers), windows, *self.encode(classes_last(labels)))

    def _as_they_are(self, numbers: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        places = [self.scored.place(number)[0] for number in numbers.tolist()]
        windows, labels = _sized(*self.pixels.read(self.scored, places, [Turn()] * len(places)), self.scored.shape.size)
        return windows, classes_last(labels)


def _sized(windows: torch.Tensor, labels: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    return resize(windows, size), resize_labels(labels, size)

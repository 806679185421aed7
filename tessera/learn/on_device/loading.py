"""Batches, made on the device that trains."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from tessera.learn.dataset import Windows
from tessera.learn.loading import Batches, Key, classes_last
from tessera.learn.loop import Batch
from tessera.learn.on_device.build import Changes
from tessera.learn.on_device.pixels import DevicePixels, Layout, Packed, pack, send_packed
from tessera.learn.on_device.turns import Turn
from tessera.learn.on_device.zooming import resize, resize_labels
from tessera.tasks import Binary

PLANNERS = 2  # least processes, where there are that many, that know the windows of a batch before a GPU asks for it


class Plan(NamedTuple):
    """What is known of a batch before it is made."""

    numbers: list[int]  # of its items
    packed: Packed  # where its windows lie, see `Found`, and what their changes draw, see `Changes.draw`


class DeviceLoader(Batches):
    """Batches on the device that holds the pixels; the same windows as `Loader`'s, changed in the same ways by other
    random numbers of (seed, epoch, item). What needs no pixel is done by processes."""

    name = "device"

    def __init__(
        self,
        items: Windows,
        scored: Windows,
        task: Binary,
        batch: int,
        workers: int,
        layout: Layout,
        pixels: DevicePixels,
        changes: Changes,
        note: Callable[[str], None],
    ):
        plans, planners = _Plans(items, scored, layout, changes), min(workers, max(PLANNERS, workers // 2))
        super().__init__(plans, len(scored), batch, planners, _as_it_is, pixels.device, note)
        self.shape, self.pixels, self.changes = items.shape, pixels, changes
        self.encode = task.encode_soft_target if items.soft else task.encode_target

    def _training(self, plan: Plan) -> Batch:
        margin, size = self.shape.margin, self.shape.size
        windows, labels, *drawn = self._read(plan, size + 2 * margin)
        windows, labels = self.changes.apply(windows, labels, drawn)
        inside = slice(margin, margin + size)
        windows, labels = windows[..., inside, inside].contiguous(), labels[..., inside, inside]
        return Batch(torch.tensor(plan.numbers), windows, *self.encode(classes_last(labels)))

    def _scoring(self, plan: Plan) -> tuple[torch.Tensor, torch.Tensor]:
        windows, labels = self._read(plan, self.shape.size)
        return windows, classes_last(labels)

    def _read(self, plan: Plan, size: int) -> tuple[torch.Tensor, ...]:
        """Windows and labels, and behind them what is drawn for their changes."""
        down, across, label_down, label_across, *drawn = send_packed(plan.packed, self.device)
        windows, labels = self.pixels.read(down, across, label_down, label_across)
        return resize(windows, size), resize_labels(labels, size), *drawn


class _Plans(Dataset):
    """Of whole batches, by the keys of their items."""

    def __init__(self, items: Windows, scored: Windows, layout: Layout, changes: Changes):
        self.items, self.scored, self.layout, self.changes = items, scored, layout, changes

    def __getitems__(self, keys: list[Key]) -> Plan:
        epoch, numbers = keys[0][0], [number for _, number in keys]
        if epoch is None:
            places = [self.scored.place(number)[0] for number in numbers]
            return Plan(numbers, pack(self.layout.find(self.scored, places, [Turn()] * len(places))))
        self.items.epoch = epoch
        places, seeds = zip(*(self.items.place(number) for number in numbers), strict=True)
        randoms = [np.random.default_rng(seed) for seed in seeds]
        turns = [self.changes.turn(random) for random in randoms]
        return Plan(numbers, pack([*self.layout.find(self.items, places, turns), *self.changes.draw(randoms)]))


def _as_it_is(plan: Plan) -> Plan:
    return plan

"""The one predict path: OOF and test images go through it alike."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from tessera.data.pixels import AXES, PixelStore
from tessera.data.stacks import Stack
from tessera.predict.blocks import ROWS, Maps, in_blocks, side_by_side
from tessera.predict.memory import Memory
from tessera.predict.merging import fuse_maps, merge_maps
from tessera.predict.networks import Networks
from tessera.predict.sights import MERGED, Sight, sights_of
from tessera.predict.sweep import Crop, Slice, Sweep
from tessera.tasks import Binary

if TYPE_CHECKING:
    from tessera.params.model import Model
    from tessera.params.predict import Predict


class Predictor:
    """Networks of one model (a fold's, or all folds') and how images are shown to them.

    note: is told, once, when the device has no memory left for sums.
    """

    def __init__(
        self,
        networks: list[nn.Module],
        model: "Model",
        predict: "Predict",
        task: Binary,
        device: torch.device,
        autocast: Callable[[], AbstractContextManager],
        note: Callable[[str], None] = print,
    ):
        self.model, self.predict, self.task = model, predict, task
        self.networks = Networks(networks, task, predict.merge, device, autocast)
        self.memory = Memory(device, note)

    def slices(self, store: PixelStore, image_id: str, z0: int, z1: int, crop: Crop | None = None) -> Iterator[Maps]:
        """For each label slice z0…z1: stored view → probabilities (C, H, W) uint8, whole."""
        for z in range(z0, z1):
            blocks = list(self.blocks(store, image_id, z, crop))
            yield {name: np.concatenate([block[name] for block in blocks], 1) for name in self.predict.stored_views}

    def blocks(self, store: PixelStore, image_id: str, z: int, crop: Crop | None = None) -> Iterator[Maps]:
        """The label slice z by blocks of `ROWS` rows: stored view → probabilities (C, rows, W) uint8 round(255·p), mean
        over the networks, the sizes and, where one label stands for all depth, the model's `centres`.

        0 in slices outside the model's `depths`, and outside the valid area, of which no score tells.

        crop: (y, x, height, width) of the plane in working px, all of it by default. Around it half a window is read as
        context, so that its edge lies where a window's weight is greatest.
        """
        depth, plane, stack = store.depth(image_id), store.shape(image_id)[1:], Stack.of(self.model)
        crop = crop or (0, 0, *plane)
        if not stack.shows(depth, z):
            yield from self._empty(*crop[2:])
            return
        stacks = [stack.around(middle, depth.slices) for middle in stack.middles(store, image_id, z)]
        place = Slice(store, image_id, stacks, store.valid(image_id, z), crop)
        longer = max(side for axis, side in zip(AXES[store.plane], (depth.slices, *plane), strict=True) if axis)
        sights = sights_of(self.predict, self.model.zoom, longer)
        sweeps = [Sweep(sight, place, self).pieces() for sight in sights]
        blocks = in_blocks((self._merged(sights, pieces) for pieces in side_by_side(sweeps)), crop[2])
        yield from blocks if place.valid is None else _within(place, blocks)

    def _merged(self, sights: list[Sight], pieces: list[Maps]) -> Maps:
        """The stored views from what each sight says of the same rows."""
        found: dict[str, list[tuple[np.ndarray, float]]] = {}
        for sight, piece in zip(sights, pieces, strict=True):
            for name, share in sight.shares.items():
                found.setdefault(name, []).append((piece[name], share))
        maps = {name: fuse_maps(*zip(*pairs, strict=True)) for name, pairs in found.items()}
        if self.predict.store != MERGED or MERGED in maps:
            return maps
        return {MERGED: merge_maps([255 * values for values in maps.values()], self.predict.merge) / 255}

    def _empty(self, rows: int, columns: int) -> Iterator[Maps]:
        for row in range(0, rows, ROWS):
            shape = (self.task.channels, min(ROWS, rows - row), columns)
            yield {name: np.zeros(shape, np.uint8) for name in self.predict.stored_views}


def _within(place: Slice, blocks: Iterator[Maps]) -> Iterator[Maps]:
    """The blocks of the crop, 0 outside the valid area."""
    y, x, height, width = place.crop
    for top, maps in zip(range(y, y + height, ROWS), blocks, strict=True):
        inside = place.valid[top : min(top + ROWS, y + height), x : x + width] > 0
        yield {name: values * inside for name, values in maps.items()}

"""The one predict path: OOF and test images go through it alike."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn

from tessera.data.pixels import PixelStore
from tessera.data.stacks import Stack
from tessera.data.zooming import resize
from tessera.predict.views import turn
from tessera.predict.windows import Plan, Stitcher, pad, plan_windows
from tessera.tasks import Binary

if TYPE_CHECKING:
    from tessera.params.model import Model
    from tessera.params.predict import Predict

BATCH = 8  # windows a forward pass


class Predictor(NamedTuple):
    """Networks of one model (a fold's, or all folds') and how their windows are laid."""

    networks: list[nn.Module]
    model: "Model"
    predict: "Predict"
    task: Binary
    device: torch.device
    autocast: Callable[[], AbstractContextManager]

    def slices(
        self, store: PixelStore, image_id: str, z0: int, z1: int, crop: tuple[int, int, int, int] | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """For each label slice z0…z1: view → probabilities (C, H, W) uint8 round(255·p), mean over the networks and,
        where one label stands for all depth, over the model's `centres`. Slices outside the model's `depths` are 0.

        crop: (y, x, height, width) of the plane in working px, all of it by default. Around it half a window is read as
        context, so that its edge lies where a window's weight is greatest.
        """
        depth, plane = store.depth(image_id), store.shape(image_id)[1:]
        y, x, rows, columns = crop or (0, 0, *plane)
        context = round(self.predict.window * self.model.zoom) // 2
        top, left = max(y - context, 0), max(x - context, 0)
        height, width = min(y + rows + context, plane[0]) - top, min(x + columns + context, plane[1]) - left
        inside = np.s_[:, y - top : y - top + rows, x - left : x - left + columns]
        seen = tuple(max(1, round(side / self.model.zoom)) for side in (height, width))
        plan = plan_windows(*seen, self.predict.window, self.predict.overlap, self.model.multiple)
        stack = Stack.of(self.model)
        for z in range(z0, z1):
            if not stack.shows(depth, z):
                yield {view: np.zeros((self.task.channels, rows, columns), np.uint8) for view in self.predict.views}
                continue
            depths = [stack.around(middle, depth.slices) for middle in stack.middles(store, image_id, z)]
            stacks = [store.read_stack(image_id, one, (top, left, height, width)) for one in depths]
            padded = [pad(resize(one, seen).transpose(2, 0, 1), plan) for one in stacks]
            maps = {}
            for view in self.predict.views:
                mean = sum(self._plane(one, plan, view, *seen) for one in padded) / len(padded)
                mean = resize(mean.transpose(1, 2, 0), (height, width)).transpose(2, 0, 1)
                maps[view] = np.rint(mean[inside] * 255).astype(np.uint8)
            yield maps

    def _plane(self, pixels: np.ndarray, plan: Plan, view: str, height: int, width: int) -> np.ndarray:
        """Probabilities (C, height, width) float32 of a padded plane (S·C, H, W) under one view."""
        stitcher = Stitcher(plan, self.task.channels)
        for start in range(0, len(plan.places), BATCH):
            places = plan.places[start : start + BATCH]
            windows = np.stack([pixels[:, y : y + plan.size[0], x : x + plan.size[1]] for y, x in places])
            for (y, x), values in zip(places, self._windows(windows, view), strict=True):
                stitcher.add(y, x, values)
        return stitcher.mean(height, width)

    @torch.inference_mode()
    def _windows(self, windows: np.ndarray, view: str) -> np.ndarray:
        """Probabilities (B, C, h, w) of windows (B, S·C, h, w) under a view, turned back."""
        batch = torch.from_numpy(np.ascontiguousarray(turn(windows, view))).to(self.device)
        with self.autocast():
            means = sum(self.task.probabilities(network(batch)) for network in self.networks) / len(self.networks)
        return turn(means.cpu().numpy(), view)[:, self.task.permutation(view)]

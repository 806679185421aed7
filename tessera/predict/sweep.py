"""Windows from the top of a slice to its end, seen in one way."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from tessera.data.pixels import PixelStore
from tessera.data.resampling import Band, resample
from tessera.predict.blocks import Maps, height_of
from tessera.predict.reading import Reader, Region
from tessera.predict.sights import Sight
from tessera.predict.stitching import Stitcher
from tessera.predict.views import View, turned, turned_back
from tessera.predict.windows import Place, build_weights, plan_windows

if TYPE_CHECKING:
    from tessera.predict.predictor import Predictor

BATCH = 8  # windows of a forward pass

Crop = tuple[int, int, int, int]  # (y, x, height, width), working px


class Slice(NamedTuple):
    """What is predicted: a part of a slice, from stacks of slices."""

    store: PixelStore
    image_id: str
    stacks: list[list[int]]  # their slices; the prediction is the mean over the stacks
    valid: np.ndarray | None  # (H, W) of the whole plane, 0 outside the valid area
    crop: Crop


class Sweep:
    """One way of looking at a slice. What its stacks and its views show is read once."""

    def __init__(self, sight: Sight, place: Slice, predictor: "Predictor"):
        predict, self.task = predictor.predict, predictor.task
        self.sight, self.place, self.networks, self.memory = sight, place, predictor.networks, predictor.memory
        y, x, height, width = place.crop
        plane = place.store.shape(place.image_id)[1:]
        top, left = max(y - sight.context, 0), max(x - sight.context, 0)
        size = min(y + height + sight.context, plane[0]) - top, min(x + width + sight.context, plane[1]) - left
        seen = tuple(max(1, round(side / sight.zoom)) for side in size)
        self.region = Region(place.image_id, top, left, *size, seen)
        self.rows, self.columns = (
            (y - top, y - top + height),
            (x - left, x - left + width),
        )  # of the crop, in the region
        self.plan = plan_windows(*seen, sight.window, predict.overlap, predictor.model.multiple)
        self.weights = build_weights(predict.weights, self.plan.size, predict.overlap)
        slices = sorted({number for stack in place.stacks for number in stack})
        self.reader = Reader(place.store, self.region, slices)
        self.picks = [[slices.index(number) for number in stack] for stack in place.stacks]

    def pieces(self) -> Iterator[Maps]:
        """The rows of the crop from top to bottom, in pieces: map → probabilities (C, rows, W) float32.

        A piece's memory is used again for the next one.
        """
        left, right = self.columns
        if not self.region.zoomed:
            for maps in self._seen(self.rows):
                yield {name: values[:, :, left:right] for name, values in maps.items()}
            return
        names, classes = list(self.sight.shares), self.task.channels
        bands = resample(self._seen_bands(names), self.region.seen, (self.region.height, self.region.width))
        for y, rows in bands:
            first, last = (max(row - y, 0) for row in self.rows)
            planes = rows[first:last, left:right].transpose(2, 0, 1)
            if planes.shape[1]:
                yield {name: planes[k * classes : (k + 1) * classes] for k, name in enumerate(names)}

    def _seen_bands(self, names: list[str]) -> Iterator[Band]:
        """The maps beside each other, in px of the windows."""
        (height, width), y = self.region.seen, 0
        for maps in self._seen((0, height)):
            yield y, np.concatenate([maps[name][:, :, :width] for name in names]).transpose(1, 2, 0)
            y += height_of(maps)

    def _seen(self, rows: tuple[int, int]) -> Iterator[Maps]:
        """Pieces of these rows of the region, in px of the windows."""
        stitchers = {
            name: Stitcher(self.plan, self.weights, rows, self.task.channels, self.memory) for name in self.sight.added
        }
        shown = self._shown()
        step = max(1, BATCH // len(self.picks))
        for start in range(0, len(shown), step):
            self._add(shown[start : start + step], stitchers)
            yield from _finished(stitchers)
        for stitcher in stitchers.values():
            stitcher.finish()
        yield from _finished(stitchers)

    def _shown(self) -> list[Place]:
        """The windows that show something of the valid area: looked at by rows of windows, its pages do not add up."""
        valid, shown = self.place.valid, []
        for places in self.plan.rows:
            if valid is not None:
                spans = [self.region.working((place.y, place.x), self.plan.size) for place in places]
                places = [place for place, span in zip(places, spans, strict=True) if valid[span].any()]
                self.place.store.forget()
            shown += places
        return shown

    def _add(self, places: list[Place], stitchers: dict[str, Stitcher]) -> None:
        """Predicts windows under every view and adds them."""
        windows = self.memory.attempt(lambda: self._read(places))
        for name, views in self.sight.added.items():
            found = self.memory.attempt(lambda views=views: self._mean(windows, places, views))
            for place, values in zip(places, found, strict=True):
                stitchers[name].add(place, values)

    @torch.inference_mode()
    def _mean(self, windows: torch.Tensor, places: list[Place], views: list[View]) -> list[torch.Tensor]:
        """Probabilities (C, h, w) of each window, the mean over views: weights are then applied once."""
        first, *others = ([view.turn_of(place.row, place.column) for place in places] for view in views)
        means = list(self._predict(windows, first))
        for number, turns in enumerate(others, 2):
            for mean, values in zip(means, self._predict(windows, turns), strict=True):
                mean.lerp_(values, 1 / number)
        return means

    def _read(self, places: list[Place]) -> torch.Tensor:
        """The windows (B, stacks, S·C, h, w) uint8, on the device."""
        pixels = np.stack([self.reader.window(place.y, place.x, *self.plan.size) for place in places])
        self.place.store.forget()
        windows = torch.from_numpy(pixels).to(self.networks.device).permute(0, 3, 1, 2)
        if self.picks == [list(range(len(self.reader.slices)))]:
            return windows[:, None]
        slices = windows.unflatten(1, (len(self.reader.slices), -1))
        return torch.stack([slices[:, pick].flatten(1, 2) for pick in self.picks], 1)

    def _predict(self, windows: torch.Tensor, turns: list[str]) -> Iterator[torch.Tensor]:
        """Probabilities (C, h, w) of each window, under its turn and turned back: one at a time, which a CPU's cache holds."""
        if len(set(turns)) == 1:
            shown = turned(windows, turns[0])
        else:
            shown = torch.stack([turned(one, turn) for one, turn in zip(windows, turns, strict=True)])
        return (self._undone(*one) for one in zip(self._forward(shown), turns, strict=True))

    def _forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(B, stacks, S·C, h, w) → (B, C, h, w), the mean over the stacks"""
        found = [self.networks(part) for part in windows.flatten(0, 1).split(BATCH)]
        if len(self.picks) == 1:
            return found[0]
        return torch.cat(found).unflatten(0, windows.shape[:2]).mean(1)

    def _undone(self, values: torch.Tensor, turn: str) -> torch.Tensor:
        order = self.task.permutation(turn)
        values = turned_back(values, turn)
        return values if order == sorted(order) else values[order]


def _finished(stitchers: dict[str, Stitcher]) -> Iterator[Maps]:
    """What all of them have finished: the same rows of each, as all were given the same windows."""
    for pieces in zip(*(stitcher.finished() for stitcher in stitchers.values()), strict=True):
        yield dict(zip(stitchers, pieces, strict=True))

"""Pixels and labels in the memory of a device, and windows of them."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from tessera.data.pixels import AXES, PixelStore
from tessera.data.stacks import reflect
from tessera.learn.dataset import Place, Windows
from tessera.learn.on_device.turns import Turn
from tessera.tasks import IGNORE

BLOCK = 2**28  # bytes that are sent at once
PLANES = 4  # whose pixels are looked up at once: the address of a pixel takes eight bytes
NOWHERE = -(2**60)  # the address of rows and columns whose labels are ignored: negative whatever is added


class Found(NamedTuple):
    """What pixel (b, n, i, j) of windows, and of their labels, is the sum of; int64, see `Flat.addresses`."""

    down: np.ndarray
    across: np.ndarray
    label_down: np.ndarray
    label_across: np.ndarray


class Packed(NamedTuple):
    """Arrays that are sent to a device at once."""

    whole: np.ndarray  # int64, the arrays one behind the other
    lengths: list[int]  # of each in it
    forms: list[tuple[torch.dtype, tuple[int, ...]]]  # types and shapes


class Layout:
    """Where pixels and labels of some images lie on a device.

    order: class k of a mirror image is class order[k] of the image.
    """

    def __init__(self, store: PixelStore, images: Iterable[str], order: Sequence[int]):
        arrays = {name: store.arrays(name) for name in images}
        self.order = order
        self._pixels, self._labels = (
            Flat({name: pair[which].shape for name, pair in arrays.items()}) for which in (0, 1)
        )

    def find(self, items: Windows, places: Sequence[Place], turns: Sequence[Turn]) -> Found:
        """Windows and labels as the file has them at `places`, then turned."""
        lines, counted = zip(*(_lines(items, places, axis) for axis in (0, 1)), strict=True)
        labelled = [np.where(counts, line, -1) for line, counts in zip(lines, counted, strict=True)]
        orders = [self.order if turn.mirrors else range(len(self.order)) for turn in turns]
        channels = [range(self._pixels.channels(place)) for place in places]
        return Found(
            *self._pixels.addresses(places, [place.slices for place in places], lines, channels, turns),
            *self._labels.addresses(places, [[place.z] for place in places], labelled, orders, turns),
        )


class Flat:
    """Where arrays (Z, H, W) or (Z, H, W, channels) lie, by image, one after the other."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]):
        sizes = [int(np.prod(shape)) for shape in shapes.values()]
        self._shapes, self._starts = shapes, dict(zip(shapes, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))

    def channels(self, place: Place) -> int:
        """Of the image."""
        return int(np.prod(self._shapes[place.image_id][3:]))

    def addresses(
        self,
        places: Sequence[Place],
        depths: Sequence[Sequence[int]],
        lines: Sequence[np.ndarray],
        channels: Sequence[Sequence[int]],
        turns: Sequence[Turn],
    ) -> tuple[np.ndarray, np.ndarray]:
        """What pixel (b, n, i, j) is the sum of: (B, depths·channels, h) of n and i, and (B, w) of j.

        lines: the rows and the columns of each window in its plane, (B, h) and (B, w); those below 0 are ignored.
        """
        steps = np.array([self._steps(place) for place in places])
        rows, columns = (np.where(line < 0, NOWHERE, line * steps[:, axis, None]) for axis, line in enumerate(lines, 1))
        swapped, up, left = np.array(turns, bool).T[..., None]
        down, across = np.where(swapped, columns, rows), np.where(swapped, rows, columns)
        down, across = np.where(up, down[:, ::-1], down), np.where(left, across[:, ::-1], across)
        first = [
            [self._starts[place.image_id] + z * step + channel for z in of_depth for channel in of_channel]
            for place, step, of_depth, of_channel in zip(places, steps[:, 0], depths, channels, strict=True)
        ]
        return np.array(first)[..., None] + down[:, None], across

    def _steps(self, place: Place) -> list[int]:
        """Bytes from one slice, row and column of the plane to the next."""
        _, height, width, *channels = self._shapes[place.image_id]
        last = int(np.prod(channels))
        steps = height * width * last, width * last, last
        return [steps[axis] for axis in AXES[place.plane]]


class DevicePixels:
    """Pixels and labels of some images on a device, one image after the other."""

    def __init__(self, store: PixelStore, images: Iterable[str], device: torch.device):
        arrays = [store.arrays(name) for name in images]
        self.device = device
        pixels, labels = zip(*arrays, strict=True)
        self._pixels = _flat(pixels, device)
        self._labels = _flat([*labels, np.array([IGNORE], np.uint8)], device)  # at -1 lies what is ignored

    def read(
        self, down: torch.Tensor, across: torch.Tensor, label_down: torch.Tensor, label_across: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Windows (B, S·C, h, w) and labels (B, K, h, w), uint8; see `Found`."""
        windows = _joined([self._pixels[_sums(rows, across)] for rows in down.split(PLANES, 1)])
        labels = [self._labels[_sums(rows, label_across).clamp_(min=-1)] for rows in label_down.split(PLANES, 1)]
        return windows, _joined(labels)


def _flat(arrays: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """All bytes of uint8 arrays on the device."""
    whole, start = torch.empty(sum(array.size for array in arrays), dtype=torch.uint8, device=device), 0
    for array in arrays:
        flat = array.reshape(-1)
        for first in range(0, flat.size, BLOCK):
            block = torch.from_numpy(flat[first : first + BLOCK].copy())
            whole[start + first :][: len(block)] = block
        start += flat.size
    return whole


def _sums(down: torch.Tensor, across: torch.Tensor) -> torch.Tensor:
    """The addresses (B, n, h, w) of planes; negative where labels are ignored."""
    return down[..., None] + across[:, None, None]


def _joined(planes: list[torch.Tensor]) -> torch.Tensor:
    return planes[0] if len(planes) == 1 else torch.cat(planes, 1)


def pack(arrays: Iterable[np.ndarray]) -> Packed:
    """Arrays of int64 or float32, some of which may be empty."""
    arrays = list(arrays)
    odd = [array.nbytes % 8 // array.itemsize for array in arrays]  # a float32 is missing to an even number of them
    parts = [np.pad(array.reshape(-1), (0, some)).view(np.int64) for array, some in zip(arrays, odd, strict=True)]
    forms = [(torch.from_numpy(array).dtype, array.shape) for array in arrays]
    return Packed(np.concatenate(parts), [len(part) for part in parts], forms)


def send(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """The array on the device; a GPU goes on with its work meanwhile."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def send_packed(packed: Packed, device: torch.device) -> list[torch.Tensor]:
    """The arrays on the device, likewise."""
    parts = zip(send(packed.whole, device).split(packed.lengths), packed.forms, strict=True)
    return [part.view(dtype)[: math.prod(shape)].view(shape) for part, (dtype, shape) in parts]


def _lines(items: Windows, places: Sequence[Place], axis: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows (axis 0) or columns (1) of the plane that windows show, and whether labels count there: both (B, n)."""
    size, edge = items.shape.span, items.edge
    start = np.array([place.start[axis] for place in places])[:, None]
    side = np.array([items.stores[place.plane].shape(place.image_id)[1 + axis] for place in places])[:, None]
    first, last = np.maximum(start - edge, 0), np.minimum(start + size + edge, side)  # what is read of the image
    wanted = start - edge + np.arange(size + 2 * edge)
    lines = first + reflect(wanted - first, last - first - 1)
    begin, end = np.array([place.counted[axis] for place in places]).T[..., None]
    return lines, (wanted == lines) & (wanted >= begin) & (wanted < end)

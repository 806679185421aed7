"""Windows at another size than they were read at, on a device; to the bit what `tessera.data.zooming` makes, but for
means that lie halfway between two grey values.

What depends on sizes alone is sent once and kept: sent with each batch, it would be waited for each time.
"""

import functools
import math

import numpy as np
import torch

from tessera.data import zooming

UNIT = 2048  # OpenCV's linear weights are whole numbers of it


def resize(windows: torch.Tensor, size: int) -> torch.Tensor:
    """Square windows (B, C, n, n) uint8 at `size`: the covered area's mean downwards, linear upwards."""
    length = windows.shape[-1]
    if length == size:
        return windows
    return _mean(windows, size) if size < length else _linear(windows, size)


def resize_labels(labels: torch.Tensor, size: int) -> torch.Tensor:
    """Square labels (B, K, n, n) uint8 at `size`: each that of the nearest pixel."""
    length = labels.shape[-1]
    if length == size:
        return labels
    nearest = _nearest(length, size, labels.device)
    return labels[:, :, nearest[:, None], nearest]


@functools.cache
def _nearest(length: int, size: int, device: torch.device) -> torch.Tensor:
    """Which of `length` pixels each of `size` shows."""
    places = zooming.resize_labels(np.arange(length, dtype=np.int32)[None], (1, size))[0]  # however OpenCV cuts them
    return torch.from_numpy(places).long().to(device)


def _mean(windows: torch.Tensor, size: int) -> torch.Tensor:
    """Tap by tap: a matrix product would be cut to TF32."""
    length = windows.shape[-1]
    taps = _covered(length, size, windows.device)
    columns = sum(windows[..., at] * weight for at, weight in taps)
    means = sum(columns[..., at, :] * weight[:, None] for at, weight in taps)
    halves_up = length == 2 * size and windows.shape[1] != 2  # OpenCV's own exception
    return ((means + 0.5).floor() if halves_up else means.round()).byte()


@functools.cache
def _covered(length: int, size: int, device: torch.device) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The first, second, … of `length` pixels that each of `size` covers, and its share; 0 where it covers fewer."""
    scale, taps = length / size, []
    starts = np.arange(size) * scale
    for tap in range(math.ceil(scale) + 1):
        at = np.floor(starts).astype(int) + tap
        overlap = np.minimum(starts + scale, at + 1) - np.maximum(starts, at)
        share = (overlap.clip(0, 1) / scale).astype(np.float32)
        taps.append(tuple(torch.from_numpy(array).to(device) for array in (at.clip(max=length - 1), share)))
    return taps


def _linear(windows: torch.Tensor, size: int) -> torch.Tensor:
    """In OpenCV's whole numbers, which cut what they multiply."""
    before, after, one, other = _neighbours(windows.shape[-1], size, windows.device, clamp=True)
    wide = (windows[..., before] * one + windows[..., after] * other) >> 4
    before, after, one, other = _neighbours(windows.shape[-1], size, windows.device, clamp=False)
    rows = ((wide[..., before, :] * one[:, None]) >> 16) + ((wide[..., after, :] * other[:, None]) >> 16)
    return ((rows + 2) >> 2).byte()


@functools.cache
def _neighbours(length: int, size: int, device: torch.device, clamp: bool) -> tuple[torch.Tensor, ...]:
    """Each pixel's two neighbours among `length`, and their weights. clamp: beyond the border all weight is the
    border's; otherwise it is there twice, as along OpenCV's rows."""
    place = (np.arange(size) + 0.5) * (length / size) - 0.5
    place = (place.clip(0, length - 1) if clamp else place).astype(np.float32)
    first = np.floor(place).astype(int)
    share = place - first
    weights = np.rint(np.stack([1 - share, share]) * UNIT).astype(np.int32)
    neighbours = np.stack([first, first + 1]).clip(0, length - 1)
    return tuple(torch.from_numpy(array).to(device) for array in (*neighbours, *weights))

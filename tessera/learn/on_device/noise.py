"""Gaussian noise."""

import math

import numpy as np
import torch

from tessera.learn.on_device.change import as_pixels

# The numbers of SplitMix64, signed.
GOLDEN, FIRST, SECOND = -0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15


class GaussNoise:
    """Adds noise of a drawn standard deviation, a share of the range, to each value.

    The noise is a function of a drawn number and the pixel's place, so that it is the same on every device: SplitMix64
    (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014), made normal by Box and Muller.
    """

    def __init__(self, std_range: list[float] = (0.2, 0.44)):
        self.deviation = std_range

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """See `Change`: the deviation and the number, which float32 holds exactly."""
        return np.array([255 * random.uniform(*self.deviation), random.integers(2**24)])

    def apply(self, windows: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """See `Change`."""
        places = torch.arange(windows[0].numel(), device=windows.device)
        bits = _mixed((drawn[:, 1].long() << 32)[:, None] + places)
        radius = (-2 * (_share(bits, 8) + 2**-25).log()).sqrt()
        noise = radius * (2 * math.pi * _share(bits, 36)).cos()
        return as_pixels(windows + (noise * drawn[:, :1]).view_as(windows))


def _mixed(numbers: torch.Tensor) -> torch.Tensor:
    numbers = (numbers + 1) * GOLDEN
    for shift, factor in ((30, FIRST), (27, SECOND)):
        numbers = (numbers ^ _shifted(numbers, shift)) * factor
    return numbers ^ _shifted(numbers, 31)


def _shifted(numbers: torch.Tensor, bits: int) -> torch.Tensor:
    """To the right, zeros from the left."""
    return (numbers >> bits) & ((1 << (64 - bits)) - 1)


def _share(bits: torch.Tensor, start: int) -> torch.Tensor:
    """24 of the bits as a number in [0, 1)."""
    return ((bits >> start) & 0xFFFFFF).float() / 2**24

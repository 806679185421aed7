"""What every change of a batch on a device is made of."""

from typing import Protocol

import numpy as np
import torch

from tessera.errors import InputError


class NotOnDeviceError(InputError):
    """A change that only the workers can make."""


class Change(Protocol):
    """A random change of images: it does what the workers' transform of its name does, with the same arguments."""

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """What one window's change is decided by: (n,), the same n each time."""

    def apply(self, windows: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """Windows (B, C, H, W) uint8 changed, each by its row of drawn (B, n) float32."""


def interval(given: float | list[float], low: float | None = None) -> tuple[float, float]:
    """The range that an argument stands for, written in either order: a number is all from `low` to it, or ± itself."""
    ends = (-given if low is None else low, given) if isinstance(given, int | float) else given
    return min(ends), max(ends)


def as_pixels(values: torch.Tensor) -> torch.Tensor:
    """Float grey values as uint8."""
    return values.round().clamp(0, 255).byte()

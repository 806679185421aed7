"""Stains of tissue."""

import numpy as np
import torch

from tessera.learn.augmentations.stain import draw_change
from tessera.learn.on_device.change import as_pixels


class StainJitter:
    """Scales the amounts of haematoxylin, eosin and DAB of RGB images by 1 ± sigma and shifts them by ± sigma.

    The method and its source: `tessera.learn.augmentations.stain`.
    """

    def __init__(self, sigma: float = 0.05):
        self.sigma = sigma

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """See `Change`."""
        return draw_change(random, self.sigma).reshape(-1)

    def apply(self, windows: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """See `Change`."""
        density = -((windows.float() + 1) / 256).log()
        change = drawn.view(-1, 3, 4, 1, 1)
        mixed = [(change[:, out, :3] * density).sum(1) + change[:, out, 3] for out in range(3)]
        return as_pixels(256 * (-torch.stack(mixed, 1)).exp() - 1)

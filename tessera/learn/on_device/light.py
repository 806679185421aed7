"""Brightness, contrast and gamma; to the bit what albumentations makes of the same draw."""

import numpy as np

from tessera.learn.on_device.change import interval
from tessera.learn.on_device.tables import GREY, Table


class RandomBrightnessContrast(Table):
    """Grey values times 1 + contrast, plus brightness as a share of the range."""

    def __init__(
        self, brightness_limit: float | list[float] = (-0.2, 0.2), contrast_limit: float | list[float] = (-0.2, 0.2)
    ):
        self.brightness, self.contrast = interval(brightness_limit), interval(contrast_limit)

    def table(self, random: np.random.Generator) -> np.ndarray:
        """See `Table`."""
        return GREY * (1 + random.uniform(*self.contrast)) + 255 * random.uniform(*self.brightness)


class RandomGamma(Table):
    """Grey values, as shares of the range, to the power of a drawn per cent."""

    def __init__(self, gamma_limit: float | list[float] = (80, 120)):
        self.gamma = interval(gamma_limit, 1)

    def table(self, random: np.random.Generator) -> np.ndarray:
        """See `Table`."""
        return 255 * (GREY / 255) ** (random.uniform(*self.gamma) / 100)

"""Changes of single slices of a 2.5D stack."""

import numpy as np

from tessera.learn.augmentations.slices import draw_dropped
from tessera.learn.on_device.tables import GREY, Table


class SliceJitter(Table):
    """A brightness and a contrast, about mid-grey, of each slice's own."""

    def __init__(self, slices: int, brightness: float = 0.1, contrast: float = 0.1):
        self.slices, self.brightness, self.contrast = slices, brightness, contrast

    def table(self, random: np.random.Generator) -> np.ndarray:
        """See `Table`."""
        shifts, gains = random.uniform(-1, 1, (2, self.slices, 1))
        return np.rint((GREY - 127.5) * (1 + gains * self.contrast) + 127.5 + 255 * shifts * self.brightness)


class SliceDropout(Table):
    """Blackens up to the share `most` of the slices, one at least, never the middle one."""

    def __init__(self, slices: int, most: float = 0.34):
        self.slices, self.most = slices, most

    def table(self, random: np.random.Generator) -> np.ndarray:
        """See `Table`."""
        kept = np.ones((self.slices, 1))
        kept[draw_dropped(random, self.slices, self.most)] = 0
        return GREY * kept

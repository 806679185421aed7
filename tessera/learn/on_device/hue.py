"""Hue and saturation."""

import numpy as np
import torch

from tessera.learn.on_device.change import as_pixels, interval


class HueSaturationValue:
    """Adds to hue (in 2°), saturation and value (both in 1/255) of RGB images; grey pixels stay grey.

    In floating point, where OpenCV cuts hue to 2° and saturation to 1/255.
    """

    def __init__(
        self,
        hue_shift_limit: float | list[float] = (-20, 20),
        sat_shift_limit: float | list[float] = (-30, 30),
        val_shift_limit: float | list[float] = (-20, 20),
    ):
        self.limits = interval(hue_shift_limit), interval(sat_shift_limit), interval(val_shift_limit)

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """See `Change`: the three shifts."""
        return np.array([random.uniform(*limits) for limits in self.limits])

    def apply(self, windows: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """See `Change`."""
        hue_shift, saturation_shift, value_shift = drawn.T[..., None, None]
        red, green, blue = windows.float().unbind(1)
        value = windows.amax(1).float()
        chroma = value - windows.amin(1)
        some = chroma.clamp(min=1)
        sixth = torch.where(
            value == red,
            (green - blue) / some,
            torch.where(value == green, (blue - red) / some + 2, (red - green) / some + 4),
        )
        sixth = sixth + hue_shift / 30
        saturation = torch.where(chroma > 0, chroma / value.clamp(min=1) + saturation_shift / 255, 0).clamp(0, 1)
        value = (value + value_shift).clamp(0, 255)
        steps = [(sixth + start) % 6 for start in (5, 3, 1)]  # of red, green and blue
        return as_pixels(
            torch.stack([value - value * saturation * torch.minimum(k, 4 - k).clamp(0, 1) for k in steps], 1)
        )

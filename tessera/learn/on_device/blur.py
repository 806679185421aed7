"""Gaussian blur."""

import numpy as np
import torch
from torch.nn import functional

from tessera.learn.on_device.change import as_pixels, interval


class GaussianBlur:
    """Blurs by a drawn sigma, px, as far as 3.5 sigma; mirrored in from beyond the border."""

    def __init__(self, sigma_limit: float | list[float] = (0.5, 3.0)):
        self.sigma = interval(sigma_limit, 0)

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """See `Change`: the kernel, as long as the widest."""
        sigma, reach = random.uniform(*self.sigma), int(self.sigma[1] * 3.5)
        places = np.arange(-reach, reach + 1)
        kernel = np.exp(-0.5 * (places / sigma) ** 2) * (abs(places) <= int(sigma * 3.5))
        return kernel / kernel.sum()

    def apply(self, windows: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """See `Change`."""
        count, channels, height, width = windows.shape
        reach = drawn.shape[1] // 2
        padded = _mirrored(windows.float(), reach).view(1, -1, height + 2 * reach, width + 2 * reach)
        kernels = drawn.repeat_interleave(channels, 0)[:, None]
        down = functional.conv2d(padded, kernels[..., None], groups=count * channels)
        return as_pixels(functional.conv2d(down, kernels[:, :, None], groups=count * channels).view_as(windows))


def _mirrored(windows: torch.Tensor, reach: int) -> torch.Tensor:
    """Windows and `reach` px around them; torch mirrors no more than a window has at a time."""
    while reach:
        step = min(reach, min(windows.shape[-2:]) - 1)
        windows, reach = functional.pad(windows, (step,) * 4, mode="reflect"), reach - step
    return windows

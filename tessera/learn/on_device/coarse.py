"""Images of a coarser resolution."""

import numpy as np
import torch

from tessera.learn.on_device.change import NotOnDeviceError, as_pixels

NEAREST, LINEAR = 0, 1  # cv2's numbers
BOTH_NEAREST = {"upscale": NEAREST, "downscale": NEAREST}


class Downscale:
    """Makes images smaller by a drawn scale and as large again, both linearly."""

    def __init__(self, scale_range: list[float] = (0.25, 0.25), interpolation_pair: dict[str, int] = BOTH_NEAREST):
        if interpolation_pair != {"upscale": LINEAR, "downscale": LINEAR}:
            raise NotOnDeviceError("with other than interpolation_pair {downscale: 1, upscale: 1}")
        self.scale = scale_range

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """See `Change`."""
        return np.array([random.uniform(*self.scale)])

    def apply(self, windows: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """See `Change`. Both steps are one matrix a window, so that the GPU need not tell its size."""
        size, scale = windows.shape[-1], drawn[:, :, None]
        line = torch.arange(size, device=windows.device, dtype=torch.float32)
        small = (size * scale).round()  # px; of the matrix, the rows behind those are not read
        centre = line[:, None] + 0.5
        down = _weights((centre / scale - 0.5).clamp(0, size - 1), line)
        up = _weights(torch.minimum((centre * small / size - 0.5).clamp(min=0), small - 1), line)
        both = (up @ down)[:, None]
        return as_pixels(both @ windows.float() @ both.mT)


def _weights(places: torch.Tensor, line: torch.Tensor) -> torch.Tensor:
    """What each pixel of a line is to places (B, n, 1) between them."""
    return (1 - (places - line).abs()).clamp(min=0)

"""Images of a coarser resolution."""

import numpy as np
import torch

from tessera.learn.on_device.change import NotOnDeviceError, as_pixels

NEAREST, LINEAR, AREA = 0, 1, 3  # cv2's numbers
BOTH_NEAREST = {"upscale": NEAREST, "downscale": NEAREST}


class Downscale:
    """Makes images smaller by a drawn scale, as the covered area's mean, and linearly as large again."""

    def __init__(self, scale_range: list[float] = (0.25, 0.25), interpolation_pair: dict[str, int] = BOTH_NEAREST):
        if interpolation_pair != {"upscale": LINEAR, "downscale": AREA}:
            raise NotOnDeviceError(f"with other than interpolation_pair {{downscale: {AREA}, upscale: {LINEAR}}}")
        self.scale = scale_range

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """See `Change`."""
        return np.array([random.uniform(*self.scale)])

    def apply(self, windows: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """See `Change`. Both steps are one matrix a window, so that the GPU need not tell its size."""
        size, scale = windows.shape[-1], drawn[:, :, None]
        line = torch.arange(size, device=windows.device, dtype=torch.float32)
        small = (size * scale).round()  # px; of the matrix, the rows behind those are not read
        begin = line[:, None] / scale
        down = (torch.minimum(begin + 1 / scale, line + 1) - torch.maximum(begin, line)).clamp(0, 1)
        down = down / down.sum(2, keepdim=True).clamp(min=1e-6)
        place = torch.minimum(((line[:, None] + 0.5) * small / size - 0.5).clamp(min=0), small - 1)
        both = ((1 - (place - line).abs()).clamp(min=0) @ down)[:, None]
        return as_pixels(both @ windows.float() @ both.mT)

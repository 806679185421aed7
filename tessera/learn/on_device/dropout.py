"""Rectangles cut out."""

import numpy as np
import torch

from tessera.learn.on_device.change import NotOnDeviceError


class CoarseDropout:
    """Blackens rectangles; labels stay. Sides are shares of the window's."""

    def __init__(
        self,
        num_holes_range: list[int] = (1, 2),
        hole_height_range: list[float] = (0.1, 0.2),
        hole_width_range: list[float] = (0.1, 0.2),
    ):
        if max(*hole_height_range, *hole_width_range) >= 1:
            raise NotOnDeviceError("with holes in px, other than shares of the window")
        self.count, self.height, self.width = num_holes_range, hole_height_range, hole_width_range

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """See `Change`: of each of the most holes, begin and end along y, then along x, in shares; 0 of those too many."""
        holes = np.zeros((self.count[1], 2, 2))
        for hole in holes[: random.integers(self.count[0], self.count[1] + 1)]:
            for side, limits in zip(hole, (self.height, self.width), strict=True):
                length = random.uniform(*limits)
                side[:] = np.array([0, length]) + random.uniform(0, 1 - length)
        return holes.reshape(-1)

    def apply(self, windows: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """See `Change`."""
        line = (torch.arange(windows.shape[-1], device=windows.device) + 0.5) / windows.shape[-1]
        holes = drawn.view(len(windows), -1, 2, 2, 1)
        inside = (line >= holes[..., 0, :]) & (line < holes[..., 1, :])  # (B, holes, 2, size)
        cut = (inside[:, :, 0, :, None] & inside[:, :, 1, None, :]).any(1, keepdim=True)
        return windows.masked_fill(cut, 0)

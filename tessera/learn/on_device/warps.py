"""Changes that move pixels to places between pixels."""

import functools

import numpy as np
import torch
from torch.nn import functional

from tessera.learn.augmentations.lists import REFLECT_101
from tessera.learn.on_device.change import NotOnDeviceError, interval


class Warp:
    """A change of windows and labels alike; both are mirrored in from beyond the border, whose px is not repeated."""

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """See `Change`."""
        raise NotImplementedError

    def grid(self, drawn: torch.Tensor, size: int) -> torch.Tensor:
        """Where each pixel comes from: (B, size, size, 2), x and y in -1…1 from the first pixel's centre to the last's."""
        raise NotImplementedError

    def move(
        self, windows: torch.Tensor, labels: torch.Tensor, drawn: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Windows (B, C, H, W) uint8 are interpolated; labels (B, K, H, W) uint8 are those of the nearest pixel."""
        grid = self.grid(drawn, windows.shape[-1])
        between = _sample(windows, grid, "bilinear")  # of 0…255, and so among them, but for far less than 0.5
        return between.round_().byte(), _sample(labels, grid, "nearest").byte()


class Affine(Warp):
    """Scaled along x and y, each by a factor of its own, then rotated by degrees, about the centre."""

    def __init__(
        self, scale: float | list[float] = (1.0, 1.0), rotate: float | list[float] = 0.0, border_mode: int = 0
    ):
        if border_mode != REFLECT_101 or isinstance(scale, dict):
            raise NotOnDeviceError("with other than border_mode: 4 and a range of scale")
        self.scale, self.rotate = interval(scale, scale), interval(rotate, rotate)

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """The inverse matrix (2, 2), flat."""
        scales, angle = random.uniform(*self.scale, 2), np.deg2rad(random.uniform(*self.rotate))
        cosine, sine = np.cos(angle), np.sin(angle)
        return np.linalg.inv(np.array([[cosine, sine], [-sine, cosine]]) @ np.diag(scales)).reshape(-1)

    def grid(self, drawn: torch.Tensor, size: int) -> torch.Tensor:
        """See `Warp`. Product by product: a matrix product would be cut to TF32."""
        products = drawn.view(-1, 2, 2, 1) * _line(size, drawn.device)
        ofx, ofy = products.unbind(2)  # (B, 2, size): what x and y of a pixel are in those it comes from
        return (ofx[:, :, None] + ofy[..., None]).movedim(1, -1)


class Elastic(Warp):
    """Shifted by a smooth random field: drawn on a grid of `cells`, of `strength` cells, and enlarged."""

    def __init__(self, strength: float = 0.2, cells: int = 8):
        self.strength, self.cells = strength, cells

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """The shifts of the cells along x and y, (2, cells, cells) in cells, flat."""
        return random.standard_normal(2 * self.cells**2) * self.strength

    def grid(self, drawn: torch.Tensor, size: int) -> torch.Tensor:
        """See `Warp`."""
        shifts = drawn.view(-1, 2, self.cells, self.cells) * (size / self.cells) * 2 / (size - 1)
        shifts = functional.interpolate(shifts, (size, size), mode="bicubic", align_corners=False)
        line = _line(size, drawn.device)
        return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1) + shifts.movedim(1, -1)


def _sample(pixels: torch.Tensor, grid: torch.Tensor, mode: str) -> torch.Tensor:
    return functional.grid_sample(pixels.float(), grid, mode=mode, padding_mode="reflection", align_corners=True)


@functools.cache
def _line(size: int, device: torch.device) -> torch.Tensor:
    """The places of pixels along x or y; kept, as it depends on sizes alone."""
    return torch.linspace(-1, 1, size, device=device)

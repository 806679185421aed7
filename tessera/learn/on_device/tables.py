"""Changes of grey values that look each one up in a table."""

import numpy as np
import torch

GREY = np.arange(256, dtype=np.float32)


class Table:
    """A change whose draw is a table (256,), or one a slice (S, 256) of a 2.5D stack."""

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """The table, its values as uint8."""
        return np.clip(self.table(random), 0, 255).astype(np.uint8).reshape(-1)

    def table(self, random: np.random.Generator) -> np.ndarray:
        """What the grey values 0…255 become, before they are cut to whole numbers in 0…255."""
        raise NotImplementedError

    def apply(self, windows: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """See `Change`."""
        tables = drawn.byte().reshape(len(windows), -1, 256)
        each = windows.shape[1] // tables.shape[1]  # channels that share a table
        flat = windows.flatten(2)
        found = [tables[:, channel // each].gather(1, flat[:, channel].long()) for channel in range(flat.shape[1])]
        return torch.stack(found, 1).view_as(windows)

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
        tables = drawn.byte().view(-1, 256)  # one after the other of each window; channels that share one lie together
        return tables.gather(1, windows.reshape(len(tables), -1).long()).view_as(windows)

"""The weighted mean of overlapping windows, by rows of windows: in memory are those that windows still reach."""

from collections.abc import Iterator

import numpy as np
import torch

from tessera.errors import InputError
from tessera.predict.memory import Memory
from tessera.predict.windows import Place, Plan, running_shares


class Stitcher:
    """Averages the windows (C, h, w) of a map on one plane, and hands out the rows that are complete.

    Means are running ones: a window moves what is there by its share of the weight so far. A row of windows is averaged
    along the columns, in a band (C, h, W); then bands are, along the rows. So each pixel is touched once a window.
    """

    def __init__(
        self,
        plan: Plan,
        weights: tuple[np.ndarray, np.ndarray],
        rows: tuple[int, int],
        channels: int,
        memory: Memory,
    ):
        """weights: (h,) and (w,) of a window. rows: those that are wanted, half-open."""
        self.plan, self.rows, self.memory = plan, rows, memory
        self._shape = channels, plan.size[0], plan.padded[1]
        self._down = [torch.from_numpy(shares)[:, None] for shares in running_shares(weights[0], plan.starts[0])]
        self._across = [torch.from_numpy(shares) for shares in running_shares(weights[1], plan.starts[1])]
        self._nothing = [torch.tensor(0.0)]  # a window that is left out
        self._bands: list[torch.Tensor] = []  # of consecutive rows of windows; the last one is being filled
        self._first = self._row = 0  # the rows of windows that these are
        self._column = 0  # of the next window
        self._given = 0  # rows of windows that were handed out
        self._spare: list[torch.Tensor] = []  # bands for later rows
        memory.users.add(self)
        memory.attempt(self.settle)
        self._open()

    def add(self, place: Place, values: torch.Tensor) -> None:
        """Adds a window, in the order of the plan; one that is left out is 0."""
        while (self._row, self._column) < (place.row, place.column):
            self._average(self._nothing[0])
        self._average(values)

    def finish(self) -> None:
        """No more windows come.

        Raises InputError where a window was not a number. A band stays so where it once was: means move what is there.
        """
        while self._row < len(self.plan.starts[0]):
            self._average(self._nothing[0])
        if any(band.sum().isnan() for band in (*self._bands, *self._spare)):
            raise InputError(
                "a network says NaN: in half precision its values may overflow (bf16 has the range of float32: "
                "`train.amp: bf16`); or its weights are NaN (look at the losses in checkpoints/histories)"
            )

    def finished(self) -> Iterator[np.ndarray]:
        """The wanted rows that no later window reaches, from top to bottom, in pieces (C, rows, W): means, float32.

        A piece's memory is used again once windows are added.
        """
        starts = [*self.plan.starts[0], self.plan.padded[0]]
        while self._given < self._row:
            start = starts[self._given]
            first, end = max(start, self.rows[0]), min(starts[self._given + 1], self.rows[1])
            if first < end:
                yield self._bands[self._given - self._first][:, first - start : end - start].cpu().numpy()
            self._given += 1

    def settle(self) -> None:
        """Goes where `memory` says."""
        for tensors in (self._down, self._across, self._nothing, self._bands, self._spare):
            tensors[:] = [tensor.to(self.memory.device) for tensor in tensors]

    def _average(self, values: torch.Tensor) -> None:
        """The next window of the plan."""
        band, start = self._bands[-1], self.plan.starts[1][self._column]
        columns = band[:, :, start : start + self.plan.size[1]]
        columns.lerp_(values.to(band.device), self._across[self._column])
        self._column += 1
        if self._column == len(self._across):
            self._close()

    def _close(self) -> None:
        """A row of windows is complete."""
        if self._row:
            start, before = self.plan.starts[0][self._row], self.plan.starts[0][self._row - 1]
            above = self._bands[-2][:, start - before :]
            shared = self._bands[-1][:, : above.shape[1]]
            torch.lerp(above, shared, self._down[self._row][: above.shape[1]], out=shared)
        self._row, self._column = self._row + 1, 0
        if self._row < len(self._down):
            self._open()

    def _open(self) -> None:
        """A band for the next row of windows. What is in it counts nothing."""
        while self._first < min(self._given, self._row - 1):
            self._spare.append(self._bands.pop(0))
            self._first += 1
        self._bands.append(self._spare.pop() if self._spare else self._zeros())

    def _zeros(self) -> torch.Tensor:
        return self.memory.attempt(lambda: torch.zeros(self._shape, device=self.memory.device))

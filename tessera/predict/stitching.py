"""The weighted mean of overlapping windows, by blocks of rows: as many are in memory as windows still reach."""

from collections.abc import Iterator

import numpy as np
import torch

from tessera.predict.memory import Memory
from tessera.predict.windows import Place, Plan, Run, runs_of

ROWS = 256  # of a block
FULL = 255  # what a probability of 1 becomes

Maps = dict[str, np.ndarray]  # (C, rows, W) by name


class Stitcher:
    """Sums windows (C, h, w) of several maps on one plane, and hands out the means of rows that are complete."""

    def __init__(
        self,
        plan: Plan,
        weights: np.ndarray,
        rows: tuple[int, int],
        channels: int,
        shares: dict[str, int],
        memory: Memory,
    ):
        """weights: (h, w) of a window. rows: those that are wanted, half-open; blocks are counted from the first one.
        shares: by map, how many windows come at each place."""
        self.plan, self.rows, self.channels, self.shares, self.memory = plan, rows, channels, shares, memory
        self._open: dict[int, dict[str, torch.Tensor]] = {}  # blocks by number
        self._spare: list[dict[str, torch.Tensor]] = []  # closed blocks, all 0, for later ones
        self._next = rows[0]
        self._runs = tuple(runs_of(*axis) for axis in zip(plan.starts, plan.size, strict=True))  # rows, columns
        self._weights = torch.from_numpy(weights).to(memory.device)
        self._across: list[torch.Tensor] = []  # by run of columns: the weights' sum in a row of windows
        self._totals: tuple[Run | None, list[torch.Tensor]] = None, []  # the same, over the rows of a run
        memory.users.add(self)
        self._across = memory.attempt(lambda: [covered(self._weights, 1, run) for run in self._runs[1]])

    def add(self, name: str, place: Place, values: torch.Tensor) -> None:
        """Adds a window to the map `name`."""
        row, end = max(place.y, self.rows[0]), min(place.y + self.plan.size[0], self.rows[1])
        while row < end:
            number, first = divmod(row - self.rows[0], ROWS)
            count = min(ROWS - first, end - row)
            part = slice(row - place.y, row - place.y + count)
            block = self._block(number)[name]  # to make it may send all sums to the host
            values = values.to(block.device)
            columns = slice(place.x, place.x + self.plan.size[1])
            sums = block[:, first : first + count, columns]
            sums.addcmul_(values[:, part], self._weights[part], value=FULL / self.shares[name])
            row += count

    def finished(self, below: int) -> Iterator[Maps]:
        """The next blocks whose rows all lie above the row `below`: means in 0…255, float32.

        A block's memory is used again once the next one is asked for.
        """
        while self._next < self.rows[1] and min(self._next + ROWS, self.rows[1]) <= below:
            count = min(ROWS, self.rows[1] - self._next)
            number = (self._next - self.rows[0]) // ROWS
            block = self._block(number)
            self._divide(block, count)
            yield {name: values[:, :count].cpu().numpy() for name, values in block.items()}
            for values in block.values():
                values.zero_()  # now, while they are in the processor's cache
            self._spare.append(self._open.pop(number))
            self._next += count

    def settle(self) -> None:
        """Goes where `memory` says."""
        device = self.memory.device
        self._weights = self._weights.to(device)
        self._across = [values.to(device) for values in self._across]
        self._totals = None, []
        self._spare.clear()
        for block in self._open.values():
            block |= {name: values.to(device) for name, values in block.items()}

    def _block(self, number: int) -> dict[str, torch.Tensor]:
        if number not in self._open:
            block = self._open[number] = self._spare.pop() if self._spare else {}  # `settle` knows it from here on
            height = min(ROWS, self.rows[1] - self.rows[0])
            for name in self.shares:
                if name not in block:
                    block[name] = self._zeros(self.channels, height, self.plan.padded[1])
        return self._open[number]

    def _divide(self, block: dict[str, torch.Tensor], count: int) -> None:
        """Makes sums means: the rows of the next block.

        What they are divided by is computed once for all stretches that are covered alike, and stays in the
        processor's cache; that of whole rows would not.
        """
        for rows in self._runs[0]:
            for top in rows.starts:
                first, end = max(top, self._next), min(top + rows.length, self._next + count)
                if first < end:
                    totals = [total[first - top : end - top] for total in self._totals_of(rows)]
                    for values in block.values():
                        self._divide_rows(values[:, first - self._next : end - self._next], totals)

    def _divide_rows(self, values: torch.Tensor, totals: list[torch.Tensor]) -> None:
        """totals: by run of columns."""
        for run, total in zip(self._runs[1], totals, strict=True):
            stretches = values[:, :, run.start : run.starts.stop].unflatten(2, (run.count, run.length))
            stretches.div_(total[:, None])

    def _totals_of(self, rows: Run) -> list[torch.Tensor]:
        """By run of columns."""
        if self._totals[0] != rows:
            totals = self.memory.attempt(lambda: [covered(across, 0, rows) for across in self._across])
            self._totals = rows, totals
        return self._totals[1]

    def _zeros(self, *shape: int) -> torch.Tensor:
        return self.memory.attempt(lambda: torch.zeros(shape, device=self.memory.device))


def covered(weights: torch.Tensor, axis: int, run: Run) -> torch.Tensor:
    """How much windows of these weights count, along an axis, in a stretch of the run."""
    total = weights.narrow(axis, 0, run.length).clone()
    for start in run.others:
        first, end = max(start, 0), min(start + weights.shape[axis], run.length)
        total.narrow(axis, first, end - first).add_(weights.narrow(axis, first - start, end - first))
    return total

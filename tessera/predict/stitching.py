"""The weighted mean of overlapping windows, by blocks of rows: as many are in memory as windows still reach."""

from collections.abc import Iterator

import numpy as np
import torch

from tessera.predict.memory import Memory
from tessera.predict.windows import Place, Plan

ROWS = 256  # of a block
LINES = 32  # rows that are divided together: they stay in the processor's cache
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
        self._spare: list[dict[str, torch.Tensor]] = []  # closed blocks, for later ones
        self._next = rows[0]
        self._weights = torch.from_numpy(weights).to(memory.device)
        self._across = self._total = self._weights[:0]
        memory.users.add(self)
        self._across = self._zeros(plan.size[0], plan.padded[1])  # a row of windows: their weights' sum / FULL
        for x in plan.starts[1]:
            self._across[:, x : x + plan.size[1]] += self._weights / FULL
        self._total = self._zeros(LINES, plan.padded[1])

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
            block[:, first : first + count, columns].addcmul_(values[:, part], self._weights[part])
            row += count

    def finished(self, below: int) -> Iterator[Maps]:
        """The next blocks whose rows all lie above the row `below`: means in 0…255, float32.

        A block's memory is used again once the next one is asked for.
        """
        while self._next < self.rows[1] and min(self._next + ROWS, self.rows[1]) <= below:
            count = min(ROWS, self.rows[1] - self._next)
            number = (self._next - self.rows[0]) // ROWS
            block = self._block(number)
            for line in range(0, count, LINES):
                self._divide(block, line, min(LINES, count - line))
            yield {name: values[:, :count].cpu().numpy() for name, values in block.items()}
            self._spare.append(self._open.pop(number))
            self._next += count

    def settle(self) -> None:
        """Goes where `memory` says."""
        device = self.memory.device
        self._weights, self._across, self._total = (
            values.to(device) for values in (self._weights, self._across, self._total)
        )
        self._spare.clear()
        for block in self._open.values():
            block |= {name: values.to(device) for name, values in block.items()}

    def _block(self, number: int) -> dict[str, torch.Tensor]:
        if number not in self._open:
            block = self._open[number] = self._spare.pop() if self._spare else {}  # `settle` knows it from here on
            for name in self.shares:
                if name in block:
                    block[name].zero_()
                else:
                    block[name] = self._zeros(
                        self.channels, min(ROWS, self.rows[1] - self.rows[0]), self.plan.padded[1]
                    )
        return self._open[number]

    def _divide(self, block: dict[str, torch.Tensor], line: int, count: int) -> None:
        """Makes sums means: some lines of the next block."""
        first = self._next + line
        total = self._total[:count].zero_()
        for y in self.plan.starts[0]:
            row, end = max(y, first), min(y + self.plan.size[0], first + count)
            if row < end:
                total[row - first : end - first] += self._across[row - y : end - y]
        for name, share in self.shares.items():
            block[name][:, line : line + count].div_(total if share == 1 else total * share)

    def _zeros(self, *shape: int) -> torch.Tensor:
        return self.memory.attempt(lambda: torch.zeros(shape, device=self.memory.device))

"""Exponential moving average of a network's weights."""

import copy

import torch
from torch import nn


class Ema:
    """Keeps a smoothed copy of a network: average ← d·average + (1 − d)·weights at each step.

    d = min(decay, (1 + n) / (10 + n)) after n steps, so that the random start is soon forgotten. Buffers that are
    floating (batch-norm statistics) are averaged too, counters copied. A decay of 0 copies the network.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.steps = decay, 0
        self._of: nn.Module | None = None  # whose tensors these are, beside ours: looking them up at each step would
        self._floating, self._others = ([], []), ([], [])  # take longer than a GPU needs to average them

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Takes in the weights after an optimiser step; those of one network are always the same tensors."""
        if network is not self._of:
            self._of = network
            self._floating, self._others = self._pairs(True), self._pairs(False)
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(*self._floating, share)
        if self._others[0]:
            torch._foreach_copy_(*self._others)

    def _pairs(self, floating: bool) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Our tensors and the network's, of floating point or not."""
        mine, theirs = self.network.state_dict(), self._of.state_dict()
        names = [name for name, tensor in mine.items() if tensor.is_floating_point() == floating]
        return [mine[name] for name in names], [theirs[name] for name in names]

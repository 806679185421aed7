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

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Takes in the weights after an optimiser step."""
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        mine, theirs = self.network.state_dict(), network.state_dict()
        floating = [name for name, tensor in mine.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([mine[name] for name in floating], [theirs[name] for name in floating], share)
        for name in mine.keys() - set(floating):
            mine[name].copy_(theirs[name])

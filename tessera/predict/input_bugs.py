"""Networks that see their input as a bug would show it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from tessera.learn.networks.build import Segmenter


class InputBug(NamedTuple):
    """change: a network → one that sees what the bug makes of its windows; it may be changed in place. look: what to
    look at."""

    name: str
    look: str
    change: Callable[[Segmenter], nn.Module]


_SCALE = "mean, std and range of what the kernel feeds the network (recipe.json: input)"


def input_bugs(channels: int) -> list[InputBug]:
    """Those that images of so many channels may have."""
    found = [
        InputBug("input of 0…255, not normalised", _SCALE, lambda network: _normalised(network, 1)),
        InputBug("input of 0…1, without mean and std", _SCALE, lambda network: _normalised(network, 255)),
    ]
    if channels == 3:
        found.append(InputBug("input of BGR instead of RGB", "cv2.imread gives BGR: cvtColor in the kernel", Reversed))
    return found


class Reversed(nn.Module):
    """Shows a network the three channels of each slice in the opposite order."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.network(windows.unflatten(1, (-1, 3)).flip(2).flatten(1, 2))


def _normalised(network: Segmenter, std: float) -> Segmenter:
    """The network without its own mean and std."""
    network.mean.zero_()
    network.std.fill_(std)
    return network

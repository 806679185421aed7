"""The networks of one model (a fold's, or all folds') as one."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import nn

from tessera.tasks import Binary


class Networks:
    """Windows (B, S·C, h, w) uint8 → probabilities (B, classes, h, w) float32, both on `device`.

    merge: the mean of the networks' `probabilities`, or of their `logits`.
    """

    def __init__(
        self,
        networks: list[nn.Module],
        task: Binary,
        merge: str,
        device: torch.device,
        autocast: Callable[[], AbstractContextManager],
    ):
        self.networks, self.task, self.merge, self.device, self.autocast = networks, task, merge, device, autocast

    @torch.inference_mode()
    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        with self.autocast():
            if self.merge == "logits":
                return self.task.probabilities(self._mean(lambda network: network(windows).float()))
            return self._mean(lambda network: self.task.probabilities(network(windows)))

    def _mean(self, answer: Callable[[nn.Module], torch.Tensor]) -> torch.Tensor:
        total = answer(self.networks[0])
        for network in self.networks[1:]:
            total = total + answer(network)
        return total / len(self.networks) if len(self.networks) > 1 else total

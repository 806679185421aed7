"""The loss of a model: Σ weight · term, by names of params.yaml. A new loss: a file here and a line in LOSSES."""

from collections.abc import Callable

import torch

from tessera.errors import InputError
from tessera.learn.losses.bce import bce
from tessera.learn.losses.dice import dice

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
LOSSES: dict[str, Loss] = {"bce": bce, "dice": dice}


def build_loss(weights: dict[str, float]) -> Loss:
    """Σ wᵢ·lossᵢ of (logits, target, valid), each (B, C, H, W). Raises InputError for an unknown name."""
    for name in weights:
        if name not in LOSSES:
            raise InputError(f"loss {name!r} is not known; there are {', '.join(LOSSES)}")

    def weighted(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        return sum(weight * LOSSES[name](logits, target, valid) for name, weight in weights.items())

    return weighted

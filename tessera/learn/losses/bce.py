"""Binary cross-entropy."""

import torch
from torch.nn import functional

from tessera.learn.losses.valid import mean_of_valid, smoothed


def bce(
    logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, *, positive_weight: float, label_smoothing: float
) -> torch.Tensor:
    """Mean binary cross-entropy over valid pixels; a positive one counts `positive_weight` times."""
    weight = None if positive_weight == 1 else logits.new_full((), positive_weight)
    target = smoothed(target, label_smoothing)
    loss = functional.binary_cross_entropy_with_logits(logits, target, pos_weight=weight, reduction="none")
    return mean_of_valid(loss, valid)

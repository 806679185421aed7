"""Focal loss."""

import torch
from segmentation_models_pytorch.losses import FocalLoss

from tessera.learn.losses.valid import mean_of_valid, smoothed


def focal(
    logits: torch.Tensor,
    target: torch.Tensor,
    valid: torch.Tensor,
    *,
    gamma: float,
    alpha: float | None,
    label_smoothing: float,
) -> torch.Tensor:
    """Mean over valid pixels of cross-entropy · (1 − e^−cross-entropy)^γ. Source: Lin et al. 2017, Focal Loss."""
    loss = FocalLoss("binary", alpha=alpha, gamma=gamma, reduction="none")(logits, smoothed(target, label_smoothing))
    return mean_of_valid(loss.view_as(logits), valid)

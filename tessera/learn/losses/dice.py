"""Soft Dice."""

import torch

SMOOTH = 1.0  # pixels; keeps a batch without positives at a finite, small gradient


def dice(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """1 − soft Dice, pooled over the batch, mean over classes; arguments as `bce`.

    Source: Milletari et al. 2016, V-Net, with the plain (not squared) denominator.
    """
    probabilities = logits.sigmoid() * valid
    target = target * valid
    axes = (0, 2, 3)
    overlap = 2 * (probabilities * target).sum(axes)
    total = probabilities.sum(axes) + target.sum(axes)
    return (1 - (overlap + SMOOTH) / (total + SMOOTH)).mean()

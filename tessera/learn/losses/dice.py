"""Soft Dice."""

import torch

from tessera.learn.losses.valid import SMOOTH, soft_counts


def dice(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, *, per_image: bool) -> torch.Tensor:
    """1 − soft Dice, pooled over the batch or per image, mean over classes.

    Source: Milletari et al. 2016, V-Net, with the plain (not squared) denominator.
    """
    counts = soft_counts(logits, target, valid, per_image)
    return (1 - (2 * counts.overlap + SMOOTH) / (counts.found + counts.true + SMOOTH)).mean()

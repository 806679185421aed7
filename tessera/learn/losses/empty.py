"""The auxiliary question whether a window holds a class at all."""

import torch
from torch.nn import functional

from tessera.learn.losses.valid import mean_of_valid


def empty(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of logits (B, C) that a class has no positive valid pixel in a window.

    target in [0, 1] and valid 0/1, both (B, C, H, W): a soft label makes a window as full as its largest one. A class
    without a valid pixel in a window counts in none.
    """
    truth = 1 - (target * valid).amax((2, 3))
    loss = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return mean_of_valid(loss, valid.amax((2, 3)))

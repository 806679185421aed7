"""Soft Jaccard index (IoU)."""

import torch

from tessera.learn.losses.tversky import tversky


def jaccard(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, *, per_image: bool) -> torch.Tensor:
    """1 − TP / (TP + FP + FN), soft, pooled over the batch or per image, mean over classes.

    Source: Rahman & Wang 2016, Optimizing Intersection-Over-Union.
    """
    return tversky(logits, target, valid, alpha=1, beta=1, per_image=per_image)

"""Soft Tversky index, of which Jaccard and F-beta are cases."""

import torch

from tessera.learn.losses.valid import SMOOTH, soft_counts


def tversky(
    logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, *, alpha: float, beta: float, per_image: bool
) -> torch.Tensor:
    """1 − TP / (TP + α·FP + β·FN), soft, pooled over the batch or per image, mean over classes.

    Source: Salehi et al. 2017, Tversky loss function.
    """
    overlap, found, true, _ = soft_counts(logits, target, valid, per_image)
    wrong = alpha * (found - overlap) + beta * (true - overlap)
    return (1 - (overlap + SMOOTH) / (overlap + wrong + SMOOTH)).mean()

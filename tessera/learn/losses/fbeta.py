"""Soft F-beta."""

import torch

from tessera.learn.losses.tversky import tversky


def fbeta(
    logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, *, beta: float, per_image: bool
) -> torch.Tensor:
    """1 − (1 + β²)·TP / ((1 + β²)·TP + FP + β²·FN), soft, pooled over the batch or per image, mean over classes.

    Source: van Rijsbergen 1979, Information Retrieval, as a Tversky index.
    """
    misses = beta**2 / (1 + beta**2)
    return tversky(logits, target, valid, alpha=1 - misses, beta=misses, per_image=per_image)

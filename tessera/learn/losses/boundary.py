"""Boundary F1: whether the edges of the prediction lie near those of the truth."""

import torch
from torch.nn import functional

from tessera.learn.losses.valid import SMOOTH, sums


def boundary(
    logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, *, tolerance: int, per_image: bool
) -> torch.Tensor:
    """1 − F1 of edge pixels that have one of the other's within `tolerance` px; pooled or per image, mean over classes.

    To stand beside another term: a map without edges, all found or nothing, costs 0 in an empty truth, or a full one.

    Max-pooling finds the edges, so it needs no distance map of the truth. Source: Bokhovkin & Burnaev 2019, Boundary
    Loss for Remote Sensing Imagery Semantic Segmentation; min(a, b) in place of a·b as in `soft_counts`.
    """
    found, true = _edges(logits.sigmoid(), valid), _edges(target, valid)
    precision, recall = _share_near(found, true, tolerance, per_image), _share_near(true, found, tolerance, per_image)
    return (1 - 2 * precision * recall / (precision + recall)).mean()


def _edges(mask: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """How much an inner pixel touches the outside; beside ignored pixels and the image's border there is no edge."""
    outside = (1 - mask) * valid
    return (functional.max_pool2d(outside, 3, stride=1, padding=1) - outside) * valid


def _share_near(edges: torch.Tensor, other: torch.Tensor, tolerance: int, per_image: bool) -> torch.Tensor:
    """The share of `edges` that has one of `other` within a square of `tolerance` px to each side."""
    near = functional.max_pool2d(other, 2 * tolerance + 1, stride=1, padding=tolerance)
    shared, all_edges = sums((torch.minimum(edges, near), edges), per_image)
    return (shared + SMOOTH) / (all_edges + SMOOTH)

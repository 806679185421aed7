"""What the terms share: how only valid pixels, and soft labels, count.

A term takes logits, target in [0, 1] and valid 0/1, each (B, C, H, W) float32. smp's own losses serve where they
leave ignored pixels out exactly (focal, lovasz). Not so its SoftBCE (ignored pixels stay in the denominator), Dice,
Jaccard and Tversky (a class without positives in the batch costs nothing, however much is found) and MCC (ignored
pixels would be true negatives).
"""

from typing import NamedTuple

import torch

from tessera.learn import pieces, ranks

SMOOTH = 1.0  # pixels; keeps a batch without positives at a finite, small gradient


class SoftCounts(NamedTuple):
    """Of pixels, each (C,), or (B, C) per image."""

    overlap: torch.Tensor  # true positives
    found: torch.Tensor  # the sum of probabilities
    true: torch.Tensor
    pixels: torch.Tensor


def soft_counts(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, per_image: bool) -> SoftCounts:
    """Counts over the valid pixels of the batch, its micro-batches on all ranks, or of each image.

    The overlap is Σ min(p, t): for 0/1 labels Σ p·t, and for soft ones largest where p equals t, which the product
    is not. Source: Wang, Ning & Blaschko 2023, Jaccard Metric Losses.
    """
    probabilities, target = logits.sigmoid() * valid, target * valid
    overlap = torch.minimum(probabilities, target)
    return SoftCounts(*sums((overlap, probabilities, target, valid), per_image))


def sums(maps: tuple[torch.Tensor, ...], per_image: bool) -> tuple[torch.Tensor, ...]:
    """Over the region that one value of a region term is taken over: an image, or the batch: all its
    micro-batches on all ranks.

    Without a valid pixel that value is 0.
    """
    if per_image:
        return tuple(values.sum((2, 3)) for values in maps)
    return ranks.total(pieces.total(torch.stack([values.sum((0, 2, 3)) for values in maps]))).unbind()


def mean_of_valid(loss: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """The mean of a loss a pixel over the valid pixels of the batch, its micro-batches on all ranks; 0 without any."""
    lost, pixels = ranks.total(torch.stack([pieces.share((loss * valid).sum()), pieces.total(valid.sum())]))
    return lost / pixels.clamp(min=1)


def smoothed(target: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Labels drawn towards a half by the share `smoothing`. Source: Szegedy et al. 2016, for two classes."""
    return target * (1 - smoothing) + smoothing / 2

"""Training windows made of two of a batch."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from tessera.learn.on_device.pixels import send

if TYPE_CHECKING:
    from tessera.params.mix import Mix

Triple = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # windows, target, valid: see build_mixing
Mixing = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, np.random.Generator], Triple]


def build_mixing(mix: "Mix") -> Mixing:
    """A function (windows, target, valid, generator) → the three, of mixed windows or, most of the time, as they are.

    windows: (B, C, H, W) uint8. target and valid: (B, K, H, W) of 0 and 1, of any type; blended targets are float32 in
    [0, 1]. They stay on their device; all random numbers come from the generator.
    """
    changes = [
        (mix.mixup, lambda *batches: mixup(*batches, mix.mixup_alpha)),
        (mix.cutmix, lambda *batches: cutmix(*batches, mix.cutmix_alpha)),
        (mix.copy_positive, lambda one, other, generator: copy_positive(one, other)),
    ]

    def apply(
        windows: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, generator: np.random.Generator
    ) -> Triple:
        batch, choice = (windows, target, valid), generator.random()
        for share, change in changes:
            if choice < share:
                partners = send(generator.permutation(len(windows)), windows.device)
                return change(batch, tuple(tensor[partners] for tensor in batch), generator)
            choice -= share
        return batch

    return apply


def mixup(batch: Triple, other: Triple, generator: np.random.Generator, alpha: float) -> Triple:
    """Both blended, targets too; valid where both are. Zhang et al., "mixup: beyond empirical risk minimization" (2018)."""
    share = float(generator.beta(alpha, alpha))
    windows = torch.lerp(batch[0].float(), other[0].float(), share).round().to(torch.uint8)
    return windows, torch.lerp(batch[1].float(), other[1].float(), share), batch[2] * other[2]


def cutmix(batch: Triple, other: Triple, generator: np.random.Generator, alpha: float) -> Triple:
    """A rectangle of the other, with its labels. Yun et al., "CutMix" (2019)."""
    height, width = batch[0].shape[-2:]
    side = np.sqrt(generator.beta(alpha, alpha))
    (top, bottom), (left, right) = (_span(length, side, generator) for length in (height, width))
    inside = torch.zeros(height, width, dtype=torch.bool, device=batch[0].device)
    inside[top:bottom, left:right] = True
    return _paste(batch, other, inside)


def copy_positive(batch: Triple, other: Triple) -> Triple:
    """The positive pixels of the other, with their labels. Ghiasi et al., "Simple copy-paste" (2021)."""
    _, target, valid = other
    return _paste(batch, other, (target * valid >= 0.5).any(1, keepdim=True))


def _span(length: int, side: float, generator: np.random.Generator) -> tuple[int, int]:
    """A range of the share `side` of a length about a random middle; what lies beyond the ends is cut off."""
    middle, half = generator.random() * length, side * length / 2
    return max(round(middle - half), 0), min(round(middle + half), length)


def _paste(batch: Triple, other: Triple, inside: torch.Tensor) -> Triple:
    return tuple(torch.where(inside, two, one) for one, two in zip(batch, other, strict=True))

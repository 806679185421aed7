"""Lovász hinge: the convex extension of the Jaccard loss."""

import torch
from segmentation_models_pytorch.losses import LovaszLoss

from tessera.learn import pieces, ranks

IGNORED = -1.0  # a label, to smp


def lovasz(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, *, per_image: bool) -> torch.Tensor:
    """Lovász hinge on logits, pooled over the batch or per image, mean over classes; soft labels are cut at 0.5.

    Source: Berman et al. 2018, The Lovász-Softmax loss.
    """
    labels = torch.where(valid > 0, (target >= 0.5).float(), IGNORED)
    if not per_image:  # it sorts the pixels of the batch, which no sums can stand for
        logits, labels = (ranks.together(pieces.together(values)) for values in (logits, labels))
    hinge = LovaszLoss("binary", per_image=per_image, ignore_index=IGNORED)
    return torch.stack([hinge(*plane) for plane in zip(logits.unbind(1), labels.unbind(1), strict=True)]).mean()

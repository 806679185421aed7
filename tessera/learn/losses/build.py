"""The loss of a model: Σ weight · term, by names of params.yaml.

A new loss: a file here, a line in LOSSES, and a line of `Loss` in tessera/params/loss.py with its options.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from tessera.learn.losses.bce import bce
from tessera.learn.losses.boundary import boundary
from tessera.learn.losses.dice import dice
from tessera.learn.losses.empty import empty
from tessera.learn.losses.fbeta import fbeta
from tessera.learn.losses.focal import focal
from tessera.learn.losses.jaccard import jaccard
from tessera.learn.losses.lovasz import lovasz
from tessera.learn.losses.mcc import mcc
from tessera.learn.losses.tversky import tversky

if TYPE_CHECKING:
    from tessera.params.loss import Auxiliary
    from tessera.params.loss import Loss as Section

Predicted = torch.Tensor | tuple[torch.Tensor, torch.Tensor]  # logits of masks (B, C, H, W); of `empty` (B, C)
LOSSES: dict[str, Callable[..., torch.Tensor]] = {
    "bce": bce, "focal": focal, "dice": dice, "jaccard": jaccard, "tversky": tversky, "fbeta": fbeta, "mcc": mcc,
    "lovasz": lovasz, "boundary": boundary,
}  # fmt: skip


class Loss:
    """Σ wᵢ·lossᵢ of (what the network says in training, target, valid), in float32 whatever the precision of the logits.

    target in [0, 1] and valid 0/1, both (B, C, H, W) float32; with `auxiliary` the network gives two tensors.
    """

    def __init__(self, section: "Section", auxiliary: "Auxiliary | None"):
        self.terms = [(term.weight, LOSSES[name], term.options) for name, term in section.terms.items()]
        self.auxiliary = auxiliary

    @property
    def pooled(self) -> bool:
        """Whether what a term takes of one window's prediction depends on those of the others."""
        return any(not options.get("per_image", True) for _, _, options in self.terms)

    def __call__(self, predicted: Predicted, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        masks, empties = predicted if self.auxiliary else (predicted, None)
        logits = masks.float()
        loss = sum(weight * term(logits, target, valid, **options) for weight, term, options in self.terms)
        return loss + self.auxiliary.empty * empty(empties.float(), target, valid) if self.auxiliary else loss

    def undecided(self, target: torch.Tensor) -> Predicted:
        """What a network would say that knows nothing."""
        masks = torch.zeros_like(target)
        return (masks, masks[..., 0, 0]) if self.auxiliary else masks


def build_loss(section: "Section", auxiliary: "Auxiliary | None" = None) -> Loss:
    """The loss that `loss` and `auxiliary` of a model say."""
    return Loss(section, auxiliary)

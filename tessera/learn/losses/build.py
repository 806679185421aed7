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
Loss = Callable[[Predicted, torch.Tensor, torch.Tensor], torch.Tensor]
LOSSES: dict[str, Callable[..., torch.Tensor]] = {
    "bce": bce, "focal": focal, "dice": dice, "jaccard": jaccard, "tversky": tversky, "fbeta": fbeta, "mcc": mcc,
    "lovasz": lovasz, "boundary": boundary,
}  # fmt: skip


def build_loss(section: "Section", auxiliary: "Auxiliary | None" = None) -> Loss:
    """Σ wᵢ·lossᵢ of (what the network says in training, target, valid), in float32 whatever the precision of the logits.

    target in [0, 1] and valid 0/1, both (B, C, H, W) float32; with `auxiliary` the network gives two tensors.
    """
    terms = [(term.weight, LOSSES[name], term.options) for name, term in section.terms.items()]

    def weighted(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        logits = logits.float()
        return sum(weight * term(logits, target, valid, **options) for weight, term, options in terms)

    def with_auxiliary(
        predicted: tuple[torch.Tensor, torch.Tensor], target: torch.Tensor, valid: torch.Tensor
    ) -> torch.Tensor:
        masks, empties = predicted
        return weighted(masks, target, valid) + auxiliary.empty * empty(empties.float(), target, valid)

    return with_auxiliary if auxiliary else weighted

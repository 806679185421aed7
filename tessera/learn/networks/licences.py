"""Under which licence an encoder's published weights stand."""

from typing import TYPE_CHECKING

import timm

if TYPE_CHECKING:
    from tessera.params.model import Model

NVIDIA = "NVIDIA non-commercial"  # smp's mit_* encoders: the weights, and the code that they came with
NONCOMMERCIAL = (NVIDIA, "cc-by-nc-4.0", "fair-noncommercial-research-license", "apple-amlr", "seer-license")


def licence_of(model: "Model") -> str | None:
    """The licence that smp or timm names; None where the encoder starts from random weights, or nothing is known."""
    if model.encoder.startswith("mit_"):
        return NVIDIA
    if model.weights and model.encoder.startswith("tu-"):
        about = timm.get_pretrained_cfg(model.encoder.removeprefix("tu-"), allow_unregistered=True)
        return about and about.license
    return None

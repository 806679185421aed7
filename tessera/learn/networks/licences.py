"""Under which licence an encoder's published weights stand."""

from typing import TYPE_CHECKING

import timm
from timm.models import PretrainedCfg

from tessera.errors import InputError

if TYPE_CHECKING:
    from tessera.params.model import Model

NVIDIA = "NVIDIA non-commercial"  # smp's mit_* encoders: the weights, and the code that they came with
NONCOMMERCIAL = (NVIDIA, "cc-by-nc-4.0", "fair-noncommercial-research-license", "apple-amlr", "seer-license")


def licence_of(model: "Model") -> str | None:
    """The licence that smp or timm names; None where the encoder starts from random weights, or nothing is known."""
    if model.encoder.startswith("mit_"):
        return NVIDIA
    if model.weights and model.encoder.startswith("tu-"):
        about = published(model.encoder)
        return about and about.license
    return None


def published(encoder: str) -> PretrainedCfg | None:
    """What timm says of the weights of a `tu-` encoder; None where it knows no such encoder.

    Raises InputError where it knows no such weights of the encoder.
    """
    name = encoder.removeprefix("tu-")
    try:
        return timm.get_pretrained_cfg(name, allow_unregistered=True)
    except RuntimeError as error:
        known = timm.list_pretrained(f"{name.split('.')[0]}.*")
        raise InputError(
            f"encoder {encoder}: timm has no weights of this name ({error}); there are "
            f"{', '.join(f'tu-{one}' for one in known) or 'none'}"
        ) from None

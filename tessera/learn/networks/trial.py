"""A network tried on a window before hours of training rely on it."""

from typing import TYPE_CHECKING

import torch

from tessera.errors import InputError
from tessera.learn.networks.build import Segmenter

if TYPE_CHECKING:
    from tessera.params.model import Model


@torch.no_grad()
def tried(network: Segmenter, model: "Model", classes: int) -> Segmenter:
    """The network, which has answered one window of the model's size, on whatever device it is, the meta device too.

    Raises InputError when it cannot, or when its map is of another size: smp builds what does not fit together.
    """
    pair, window = f"decoder {model.decoder} × encoder {model.encoder}", f"{model.size}×{model.size} px"
    channels, device = network.mean.shape[1], next(network.parameters()).device
    try:
        found = network.eval()(torch.zeros(1, channels, model.size, model.size, dtype=torch.uint8, device=device))
    except Exception as error:  # whatever smp, timm or torch raise on what they cannot take
        raise InputError(f"{pair} cannot take windows of {window}; take another size, or encoder ({error})") from None
    if found.shape != (1, classes, model.size, model.size):
        raise InputError(
            f"{pair} makes a map of {found.shape[-2]}×{found.shape[-1]} px of a window of {window}: encoder_depth and "
            "upsampling in `arguments` do not fit together; leave them out, or change the other one too"
        )
    return network.train()

"""A network tried on windows before hours of training rely on it."""

import copy
from typing import TYPE_CHECKING

import torch

from tessera.errors import InputError
from tessera.learn.networks.build import Segmenter, said_by, way_out

if TYPE_CHECKING:
    from tessera.params.model import Model

FEW = 2  # windows of a micro-batch, at most: what one image is too few for, two are enough for


@torch.no_grad()
def tried(network: Segmenter, model: "Model", classes: int) -> Segmenter:
    """The network as it was, a copy of which has answered windows as training shows them; on the meta device, too.

    Raises InputError when it cannot, or when its map is of another size: smp builds what does not fit together.
    """
    pair, window = f"decoder {model.decoder} × encoder {model.encoder}", f"{model.size}×{model.size} px"
    images = max(min(FEW, model.patches or FEW, model.batch // model.accumulate), model.least_batch)
    shape, device = (images, network.mean.shape[1], model.size, model.size), next(network.parameters()).device
    try:
        with torch.random.fork_rng(devices=[]):  # which dropout draws from
            found = copy.deepcopy(network).train()(torch.zeros(shape, dtype=torch.uint8, device=device))
    except Exception as error:  # whatever smp, timm or torch raise on what they cannot take
        alone = "more than 1 value per channel" in str(error)  # batch-norm, of a map of one px
        way = "raise size, or batch / accumulate" if alone else "take another size, or encoder"
        if isinstance(error, TypeError | AttributeError | NotImplementedError):  # of no size
            way = way_out(model)
        raise InputError(
            f"{pair} cannot take {images} window(s) of {window} at once: {way} ({said_by(error)})"
        ) from None
    found = found[0] if model.auxiliary else found
    if found.shape != (images, classes, model.size, model.size):
        raise InputError(
            f"{pair} makes a map of {found.shape[-2]}×{found.shape[-1]} px of a window of {window}: encoder_depth and "
            "upsampling in `arguments` do not fit together; leave them out, or change the other one too"
        )
    return network

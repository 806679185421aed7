"""Networks that say what they see, and what a predictor makes of them."""

from contextlib import nullcontext

import numpy as np
import torch
from torch import nn

from tessera.data.pixels import PixelStore
from tessera.params.model import Model
from tessera.params.predict import Predict
from tessera.predict.predictor import Predictor
from tessera.tasks import Binary


class Level(nn.Module):
    """Grey g is the probability g / 255; of stacks, the mean over the slices."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return (windows.float().mean(1, keepdim=True) / 255).clamp(1e-4, 1 - 1e-4).logit()


def predictor_of(network: nn.Module, model: Model, task: Binary | None = None, **changes: object) -> Predictor:
    predict = Predict(**{"window": 32, "overlap": 0.25, "views": ["identity"]} | changes)
    networks = network if isinstance(network, list) else [network]
    return Predictor(networks, model, predict, task or Binary(["a"]), torch.device("cpu"), nullcontext)


def maps_of(predictor: Predictor, store: PixelStore, name: str = "a", **crop: tuple) -> dict[str, np.ndarray]:
    (maps,) = predictor.slices(store, name, 0, 1, **crop)
    return {view: values.astype(int) for view, values in maps.items()}

"""Networks: segmentation-models-pytorch decoder × encoder, by name."""

import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import segmentation_models_pytorch as smp
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from tessera.data.scaling import normalisation
from tessera.errors import InputError

if TYPE_CHECKING:
    from tessera.params.model import Model

DECODERS = {
    "DeepLabV3Plus": smp.DeepLabV3Plus,
    "DPT": smp.DPT,
    "FPN": smp.FPN,
    "Linknet": smp.Linknet,
    "MAnet": smp.MAnet,
    "PAN": smp.PAN,
    "PSPNet": smp.PSPNet,
    "Segformer": smp.Segformer,
    "Unet": smp.Unet,
    "UnetPlusPlus": smp.UnetPlusPlus,
    "UPerNet": smp.UPerNet,
}
MULTIPLE = 32  # px; heights and widths that every decoder accepts
_HEAD = ("fc.", "head.", "classifier.", "last_linear.", "_fc.")  # an encoder file's own classifier, not needed


class Segmenter(nn.Module):
    """Windows (B, slices·channels, H, W) uint8 → logits (B, classes, H, W); H and W multiples of `MULTIPLE`.

    With an auxiliary head, training mode returns its logits (B, classes) as well, evaluation mode drops them.
    """

    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], slices: int):
        super().__init__()
        self.network = network
        for name, values in (("mean", mean), ("std", std)):
            values = torch.tensor(values).repeat(slices).view(1, -1, 1, 1) * 255
            self.register_buffer(name, values, persistent=False)

    def forward(self, windows: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        normalised = (windows.float() - self.mean) / self.std
        predicted = self.network(normalised.contiguous(memory_format=torch.channels_last))
        return predicted[0] if isinstance(predicted, tuple) and not self.training else predicted


def build_network(model: "Model", channels: int, classes: int, pretrained: bool) -> Segmenter:
    """The network of a `models:` entry for images of `channels`; `pretrained` loads its `weights` into the encoder.

    Raises InputError: an unknown decoder or encoder, a pair or arguments that smp refuses, weights that
    cannot be had.
    """
    if model.decoder not in DECODERS:
        raise InputError(f"decoder {model.decoder!r} is not known; there are {', '.join(DECODERS)}")
    timm = model.encoder.startswith("tu-")  # an encoder of timm, whose name may say which weights
    hub = (timm or model.weights) if pretrained and model.weights == "imagenet" else None
    local = Path(model.weights) if pretrained and model.weights and not hub else None
    arguments = {"in_channels": channels * model.slices, "classes": classes, **model.arguments}
    if model.auxiliary:  # smp's own classifier on the encoder's last map
        arguments["aux_params"] = {"classes": classes}
    if local and timm:  # which knows the names, heads and first layers of its own files
        _read_weights(local)
        hub, local, arguments["pretrained_cfg_overlay"] = True, None, {"file": model.weights}
    try:
        network = DECODERS[model.decoder](model.encoder, encoder_weights=hub, **arguments)
    except OSError as error:  # of the hub: no network, no such file
        raise InputError(_no_weights(model.encoder, error)) from None
    except (KeyError, ValueError, TypeError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"decoder {model.decoder} × encoder {model.encoder} cannot be built: {error}") from None
    if local:
        load_encoder(network.encoder, local)
    return Segmenter(network.to(memory_format=torch.channels_last), *normalisation(channels), model.slices)


def load_encoder(encoder: nn.Module, path: Path) -> None:
    """Loads an encoder's weights from a local .safetensors or .pt file.

    The first convolution's RGB weights are summed for one channel, else repeated to the input's channels and scaled by 3/channels. Raises
    InputError: no such file, or tensors lack or have another shape.
    """
    state = {name: tensor for name, tensor in _read_weights(path).items() if not name.startswith(_HEAD)}
    for name, wanted in encoder.state_dict().items():
        given = state.get(name)
        if (
            given is not None
            and given.ndim == 4
            and given.shape[1] == 3 != wanted.shape[1]
            and given.shape[2:] == wanted.shape[2:]
        ):
            count = wanted.shape[1]
            repeated = given.repeat(1, -(-count // 3), 1, 1)[:, :count] * (3 / count)
            state[name] = given.sum(1, keepdim=True) if count == 1 else repeated
    try:
        nn.Module.load_state_dict(
            encoder, state
        )  # the plain one: smp's encoders loosen it, and drop heads under names of their own
    except RuntimeError as error:
        raise InputError(f"weights {path} do not fit the encoder: {error}") from None


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise InputError(f"weights {path}: no such file; give imagenet, a local file, or null for random weights")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise InputError(f"weights {path}: cannot be read ({error})") from None


def parameters_of(network: nn.Module) -> int:
    """The number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def _no_weights(encoder: str, error: Exception) -> str:
    return (
        f"the imagenet weights of {encoder} cannot be had ({type(error).__name__}: {error}). Offline, either\n"
        "  - download them once where there is a network: run the stage there, and copy the hub's cache (~/.cache/huggingface, ~/.cache/torch) here;\n"
        "  - give a local file: `weights: path/to/encoder.safetensors`;\n"
        "  - start from random weights: `weights: null`."
    )

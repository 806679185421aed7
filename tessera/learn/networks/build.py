"""Networks: decoder × encoder, by name. Decoders are those of segmentation-models-pytorch and ours."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import segmentation_models_pytorch as smp
import torch
from torch import nn

from tessera.data.scaling import normalisation
from tessera.errors import InputError
from tessera.learn.networks.fpn_aspp_unet import FpnAsppUnet
from tessera.learn.networks.licences import NONCOMMERCIAL, licence_of
from tessera.learn.networks.weights import State, load_encoder, read_weights, refuse_lost, without_head

if TYPE_CHECKING:
    from tessera.params.model import Model

DECODERS = {
    "DeepLabV3": smp.DeepLabV3,
    "DeepLabV3Plus": smp.DeepLabV3Plus,
    "DPT": smp.DPT,
    "FPN": smp.FPN,
    "FpnAsppUnet": FpnAsppUnet,
    "Linknet": smp.Linknet,
    "MAnet": smp.MAnet,
    "PAN": smp.PAN,
    "PSPNet": smp.PSPNet,
    "Segformer": smp.Segformer,
    "Unet": smp.Unet,
    "UnetPlusPlus": smp.UnetPlusPlus,
    "UPerNet": smp.UPerNet,
}
_WAYS_OUT = {  # by what smp or timm say
    "output_stride": "this decoder widens the strides of its encoder, which this one does not allow: take Unet, FPN, UPerNet or "
    "Segformer, or a convolutional encoder",
    "downsampling pattern": "an encoder with maps of one size goes with decoder DPT alone",
    "Only Timm encoders": "take an encoder of timm (tu-…), or another decoder",
    "not support": "take Unet, FPN, UPerNet or Segformer, or another encoder",
}


class Segmenter(nn.Module):
    """Windows (B, slices·channels, H, W) uint8 → logits (B, classes, H, W); H and W as `Model.multiple` says.

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

    Raises InputError: an unknown decoder or encoder, a pair or arguments that cannot be built, more parameters or
    another licence than the model allows, weights that cannot be had.
    """
    _check_licence(model)
    network = _decoder_on_encoder(model, classes, channels * model.slices)
    if model.params_max and (count := parameters_of(network)) > model.params_max:
        raise InputError(
            f"decoder {model.decoder} × encoder {model.encoder} has {count:,} parameters, params_max allows "
            f"{model.params_max:,}: take a smaller encoder, or fewer decoder channels in `arguments`"
        )
    if pretrained and model.weights:
        load_encoder(network.encoder, _rgb_weights(model, classes), model.weights_file or "imagenet")
    return Segmenter(network.to(memory_format=torch.channels_last), *normalisation(channels), model.slices)


def _decoder_on_encoder(
    model: "Model", classes: int, channels: int, weights: str | bool | None = None, **arguments: object
) -> nn.Module:
    """weights: as smp takes them, none by default. arguments: more than the model's own."""
    if model.decoder not in DECODERS:
        raise InputError(f"decoder {model.decoder!r} is not known; there are {', '.join(DECODERS)}")
    arguments |= {"encoder_weights": weights, "in_channels": channels, "classes": classes, **model.network_arguments}
    if model.auxiliary:  # smp's own classifier on the encoder's last map
        arguments["aux_params"] = {"classes": classes}
    pair = f"decoder {model.decoder} × encoder {model.encoder}"
    try:
        network = DECODERS[model.decoder](model.encoder, **arguments)
    except OSError as error:  # of the hub: no network, no such file
        raise InputError(_no_weights(model.encoder, error)) from None
    except (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        way = next((f": {way}" for said, way in _WAYS_OUT.items() if said in str(error)), "")
        raise InputError(f"{pair} cannot be built{way} ({error})") from None
    if 32 % network.encoder.output_stride:
        raise InputError(
            f"{pair} cannot be built: its patches of {network.encoder.output_stride} px do not divide 32 px; take an "
            "encoder with patches of 8, 16 or 32 px"
        )
    return network


def _rgb_weights(model: "Model", classes: int) -> State:
    """The weights of the model's encoder for images of three channels."""
    timm = model.encoder.startswith("tu-")  # whose name may say which weights
    build = partial(_decoder_on_encoder, model, classes, 3)
    if model.weights == "imagenet":
        return build(timm or "imagenet").encoder.state_dict()
    state = read_weights(Path(model.weights_file), model.weights_sha256)
    if not timm:
        return without_head(state)
    return _as_timm_reads(build, state, model.weights_file)


def _as_timm_reads(build: Callable[..., nn.Module], state: State, source: str) -> State:
    """The encoder's weights from a file as timm publishes them. Raises InputError where tensors lack in it.

    timm knows the names, heads and shapes of its own files, but passes over what it does not find in one. So it reads
    a second file, in which nothing is the same: what the encoder then has in common was in neither.
    """
    other = {name: (tensor == 0).to(tensor.dtype) for name, tensor in state.items()}
    loaded = []
    for one in (state, other):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the same random numbers where nothing is read
            loaded.append(build(True, pretrained_cfg_overlay={"state_dict": dict(one)}).encoder.state_dict())
    lost = [name for name, tensor in loaded[0].items() if torch.equal(tensor, loaded[1][name])]
    refuse_lost([re.sub(r"^(model\.)+", "", name) for name in lost], state, source)
    return loaded[0]


def _check_licence(model: "Model") -> None:
    licence = licence_of(model)
    if not model.allow_noncommercial and licence in NONCOMMERCIAL:
        raise InputError(
            f"encoder {model.encoder} is under {licence}, and allow_noncommercial is false: take another encoder, such as "
            "tu-swin_tiny_patch4_window7_224 or tu-convnext_tiny, or allow it"
        )


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

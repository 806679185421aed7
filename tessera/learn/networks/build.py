"""Networks: decoder × encoder, by name. Decoders are those of segmentation-models-pytorch and ours."""

import difflib
import inspect
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import segmentation_models_pytorch as smp
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tessera.data.scaling import normalisation
from tessera.errors import InputError
from tessera.learn.networks.fpn_aspp_unet import FpnAsppUnet
from tessera.learn.networks.licences import NONCOMMERCIAL, licence_of, published
from tessera.learn.networks.weights import (
    State,
    load_encoder,
    read_weights,
    refuse_lost,
    without_counters,
    without_head,
)

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
_DECIDED = ("encoder_name", "encoder_weights", "in_channels", "classes", "activation", "aux_params")  # by other keys
_SMP = "model."  # where smp's encoder keeps timm's
_TRIED = ("Unet", "FPN", "UPerNet", "Segformer", "DPT")  # in place of a decoder that does not go with an encoder


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

    Raises InputError: an unknown decoder, encoder or argument, a pair that cannot be built, more parameters or another
    licence than the model allows, norms to freeze that it has not, weights that cannot be had or do not fit.
    """
    _check_licence(model)
    _check_published(model)
    network = _decoder_on_encoder(model, classes, channels * model.slices)
    if model.params_max and (count := parameters_of(network)) > model.params_max:
        raise InputError(
            f"decoder {model.decoder} × encoder {model.encoder} has {count:,} parameters, params_max allows "
            f"{model.params_max:,}: take a smaller encoder, or fewer decoder channels in `arguments`"
        )
    if model.freeze_norms and not any(isinstance(one, _BatchNorm) for one in network.encoder.modules()):
        raise InputError(
            f"freeze_norms keeps the statistics of batch norms, and encoder {model.encoder} has none: leave it out"
        )
    if pretrained and model.weights:
        state = _rgb_weights(model, classes, list(network.encoder.state_dict()))
        load_encoder(network.encoder, state, model.weights_file or "imagenet")
    return Segmenter(network.to(memory_format=torch.channels_last), *normalisation(channels), model.slices)


def _decoder_on_encoder(model: "Model", classes: int, channels: int, weights: str | bool | None = None) -> nn.Module:
    """weights: as smp takes them, none by default."""
    if model.decoder not in DECODERS:
        raise InputError(f"decoder {model.decoder!r} is not known; there are {', '.join(DECODERS)}")
    _check_arguments(model)
    pair = f"decoder {model.decoder} × encoder {model.encoder}"
    try:
        network = _assembled(model, classes, channels, weights)
    except (AssertionError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        if weights and isinstance(error, OSError):  # of the hub: no network, no such file
            raise InputError(_no_weights(model.encoder, error)) from None
        raise InputError(f"{pair} cannot be built: {way_out(model)} ({said_by(error)})") from None
    if 32 % network.encoder.output_stride:
        raise InputError(
            f"{pair} cannot be built: its patches of {network.encoder.output_stride} px do not divide 32 px; take an "
            "encoder with patches of 8, 16 or 32 px"
        )
    return network


def _assembled(
    model: "Model", classes: int, channels: int, weights: str | bool | None = None, **arguments: object
) -> nn.Module:
    """What smp makes of the model, or raises. arguments: more than the model's own."""
    arguments |= {"encoder_weights": weights, "in_channels": channels, "classes": classes, **model.network_arguments}
    if model.auxiliary:  # smp's own classifier on the encoder's last map
        arguments["aux_params"] = {"classes": classes}
    return DECODERS[model.decoder](model.encoder, **arguments)


def _check_arguments(model: "Model") -> None:
    """smp hands what a decoder does not name to the encoder: timm refuses what it does not know, smp's own drop it."""
    if model.encoder not in smp.encoders.encoders:
        return
    named = inspect.signature(DECODERS[model.decoder]).parameters.values()
    known = [one.name for one in named if one.kind is not one.VAR_KEYWORD and one.name not in _DECIDED]
    for name in model.network_arguments:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise InputError(
                f"arguments: decoder {model.decoder} × encoder {model.encoder} has no argument {name!r}; "
                f"{f'did you mean {near[0]!r}? ' if near else ''}it has {', '.join(known) or 'none'}"
            )


def way_out(model: "Model") -> str:
    """Which key of a model that cannot be built, or does not answer, to change: what would do in its place is tried."""
    bare = model.model_copy(update={"arguments": {}})
    if model.arguments and _answers(bare):
        return "it can be without its `arguments`: change those"
    others = [name for name in _TRIED if _answers(bare.model_copy(update={"decoder": name}))]
    if others:
        return f"this encoder goes with decoder {', '.join(others)}: take one of these, or another encoder"
    return f"neither does this encoder go with decoder {', '.join(_TRIED)}: take another encoder"


@torch.no_grad()
def _answers(model: "Model") -> bool:
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"):
            _assembled(model, 1, 3).eval()(torch.zeros(1, 3, model.size, model.size))
    except Exception:  # whatever smp, timm or torch raise on what they cannot take
        return False
    return True


def said_by(error: Exception) -> str:
    """An exception of a library, in one line: its text alone may be empty."""
    return " ".join(f"{type(error).__name__}: {error}".removesuffix(": ").split())


def _rgb_weights(model: "Model", classes: int, names: list[str]) -> State:
    """The weights of the model's encoder, which has tensors of these names, for images of three channels."""
    timm = model.encoder.startswith("tu-")  # whose name may say which weights
    if model.weights == "imagenet":
        return _decoder_on_encoder(model, classes, 3, timm or "imagenet").encoder.state_dict()
    state = read_weights(Path(model.weights_file), model.weights_sha256)
    if not timm or without_counters(names) == without_counters(state):
        return without_head(state)
    if all(name.startswith(_SMP) for name in state):  # timm's own names, behind that of smp's encoder
        state = {name.removeprefix(_SMP): tensor for name, tensor in state.items()}
    return _as_timm_reads(model, classes, state)


def _as_timm_reads(model: "Model", classes: int, state: State) -> State:
    """The encoder's weights from a file as timm publishes them. Raises InputError where tensors lack in it.

    timm knows the names, heads and shapes of its own files, but passes over what it does not find in one. So it reads
    a second file, in which nothing is the same: what the encoder then has in common was in neither.
    """
    other = {name: (tensor == 0).to(tensor.dtype) for name, tensor in state.items()}
    loaded = []
    for one in (state, other):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the same random numbers where nothing is read
            try:
                network = _assembled(model, classes, 3, True, pretrained_cfg_overlay={"state_dict": dict(one)})
            except Exception as error:  # whatever timm raises on names or shapes that it does not expect
                raise InputError(
                    f"weights {model.weights_file} do not fit the encoder ({said_by(error)}): give the file that timm "
                    f"publishes for {model.encoder.removeprefix('tu-')}, or the state_dict() of smp's encoder, whole"
                ) from None
            loaded.append(network.encoder.state_dict())
    lost = [name for name, tensor in loaded[0].items() if torch.equal(tensor, loaded[1][name])]
    refuse_lost([re.sub(rf"^({_SMP})+", "", name) for name in lost], state, model.weights_file)
    return loaded[0]


def _check_licence(model: "Model") -> None:
    licence = licence_of(model)
    if not model.allow_noncommercial and licence in NONCOMMERCIAL:
        raise InputError(
            f"encoder {model.encoder} is under {licence}, and allow_noncommercial is false: take another encoder, such as "
            "tu-swin_tiny_patch4_window7_224 or tu-convnext_tiny, or allow it"
        )


def _check_published(model: "Model") -> None:
    """That there is what `weights: imagenet` asks for: known before anything is downloaded."""
    if model.weights != "imagenet" or "pretrained_cfg_overlay" in model.arguments:
        return
    if model.encoder in smp.encoders.encoders:
        named = list(smp.encoders.encoders[model.encoder]["pretrained_settings"])
        found, there = "imagenet" in named, f"smp has {', '.join(named)} alone"
    else:
        about = published(model.encoder)  # None for an unknown encoder, which is not built either
        found, there = about is None or about.has_weights, "timm publishes none"
    if not found:
        raise InputError(
            f"there are no imagenet weights of encoder {model.encoder}: {there}. Give null for random ones, a local file, "
            "or another encoder"
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

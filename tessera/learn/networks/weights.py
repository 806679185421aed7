"""Weights of an encoder: read from a local file, and fitted to images of other than three channels."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import load_file
from timm.layers import ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from torch import nn

from tessera.errors import InputError

State = dict[str, torch.Tensor]

_HEAD = ("fc.", "head.", "classifier.", "last_linear.", "_fc.")  # of a classifier
_OURS = "network.encoder."  # in a checkpoint of `train`
_STANDARDISED = (StdConv2d, StdConv2dSame, ScaledStdConv2d, ScaledStdConv2dSame)  # those with `Scaled` have a gain
_COUNTER = "num_batches_tracked"  # of a batch norm; old files do without


def read_weights(path: Path, sha256: str | None = None) -> State:
    """The tensors of a .safetensors or .pt file, out of the `state_dict` or `module.` that a trainer put around them.

    Raises InputError: no such file, another digest than `sha256`, or a file that cannot be read.
    """
    if not path.is_file():
        raise InputError(
            f"weights {path}: no such file; give imagenet, a local file, or null for random weights. What else timm "
            "publishes, an encoder's name asks for, with weights: imagenet, as in "
            "encoder: tu-tf_efficientnet_b5.ns_jft_in1k"
        )
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest() if sha256 else None
    if found != (sha256 and sha256.lower()):
        raise InputError(
            f"weights {path}: its sha256 is {found}, params say {sha256}; restore the file, or, if it was meant to "
            "change, write its new digest into weights.sha256"
        )
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # what pickle makes of a cut file or of a text: OSError, KeyError, TypeError, …
        raise InputError(
            f"weights {path}: cannot be read as {path.suffix} ({type(error).__name__}: {error}); expected is a whole file "
            "of tensors by name: .safetensors, or what torch.save made of a state_dict()"
        ) from None
    for wrapper in ("state_dict", "model"):
        state = state[wrapper] if isinstance(state, dict) and wrapper in state else state
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise InputError(f"weights {path}: holds something else than tensors by name; save a state_dict()")
    if not state:
        raise InputError(f"weights {path}: holds no tensor; save a state_dict() of the encoder")
    if any(name.startswith(_OURS) for name in state):
        raise InputError(
            f"weights {path}: is a checkpoint of `train`: it has seen images of this competition, among them those that "
            "another training holds out, whose score would be too good. Take weights that come from other data (if these "
            "do, save their encoder's tensors alone, without 'network.encoder.')"
        )
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def without_counters(names: Iterable[str]) -> set[str]:
    """The names that every file of an encoder has."""
    return {name for name in names if not name.endswith(_COUNTER)}


def without_head(state: State) -> State:
    """What an encoder needs of a published classifier."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(_HEAD)}


def load_encoder(encoder: nn.Module, state: State, source: str) -> None:
    """Loads the weights of an RGB encoder, or of one like it, into an encoder of any number of channels.

    Raises InputError, naming `source`: tensors lack, are too many, have another shape or values that are not finite.
    """
    refuse_lost([name for name in encoder.state_dict() if name not in state], state, source)
    if broken := [name for name, tensor in state.items() if not tensor.isfinite().all()]:
        raise InputError(f"weights {source}: {_some(broken)} hold(s) NaN or infinite values; take another file")
    state = _for_channels(encoder, state, source)
    try:
        # the plain one: smp's encoders loosen it, and drop heads under names of their own
        nn.Module.load_state_dict(encoder, state)
    except RuntimeError as error:
        raise InputError(f"weights {source} do not fit the encoder: {error}") from None


def _for_channels(encoder: nn.Module, state: State, source: str) -> State:
    """The state with the first layer's RGB weights fitted to the channels of the encoder's images.

    Raises InputError, naming `source`, where that layer does more with channels than to add them up.
    """
    fitted, wanted = dict(state), {name: one for name, one in encoder.state_dict().items() if one.ndim == 4}
    for name, weight in wanted.items():
        given, channels = state.get(name, weight), weight.shape[1]
        if given.shape == weight.shape or given.shape != (weight.shape[0], given.shape[1], *weight.shape[2:]):
            continue
        layer = name.rpartition(".")[0]
        stem = encoder.get_submodule(layer)
        if given.shape[1] != 3:
            if name == next(iter(wanted)):
                raise _not_for_channels(source, layer, "takes the pixels of a square for channels")
        elif not isinstance(stem, _STANDARDISED):
            fitted[name] = widen(given, channels)
        elif hasattr(stem, "gain"):
            fitted[name], factor = _widen_standardised(given, channels, stem.eps)
            fitted[f"{layer}.gain"] = state[f"{layer}.gain"] * factor
        else:
            raise _not_for_channels(source, layer, "standardises its weights")
    return fitted


def _not_for_channels(source: str, layer: str, why: str) -> InputError:
    return InputError(
        f"weights {source}: the first layer of this encoder, {layer}, {why}, so that those of RGB do not fit other channels; "
        "give three (slices: 1 of RGB images, 3 of grey ones), weights: null, or take another encoder"
    )


def refuse_lost(lost: list[str], state: State, source: str) -> None:
    """Raises InputError, naming `source`, if there are names that an encoder asks for and a file's state lacks."""
    lost = [name for name in lost if not name.endswith(_COUNTER)]
    if not lost:
        return
    prefixes = (name.removesuffix(lost[0]) for name in state if name.endswith(f".{lost[0]}"))
    whole = next((prefix for prefix in prefixes if {prefix + name for name in lost} <= state.keys()), None)
    hint = f"; it has them behind {whole!r}: save the state_dict() of the encoder alone" if whole else ""
    hint += ", unless it has seen images of this competition" if whole else ""
    raise InputError(f"weights {source} do not fit the encoder: the file lacks {_some(lost)}{hint}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + ", …" * (len(names) > 3)


def widen(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """The first layer's RGB weights (O, 3, h, w) for other images (O, channels, h, w), whose channels are taken for red,
    green, blue, red, … A colour's weight is divided by how often it comes, and fewer than three channels share all: a
    grey image, however many slices it is repeated to, and a stack of equal RGB slices are answered as one RGB image.
    """
    if channels < 3:
        return weight.sum(1, keepdim=True).repeat(1, channels, 1, 1) / channels
    colours = torch.arange(channels) % 3
    return weight[:, colours] / colours.bincount()[colours].view(1, -1, 1, 1)


def _widen_standardised(weight: torch.Tensor, channels: int, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """`widen` for a layer that first brings its weights to mean 0 and variance 1, by output, and divides them by the root
    of their number: its weights, and the factor (O, 1, 1, 1) on its gain that takes both back."""
    dims = (1, 2, 3)
    variance, mean = torch.var_mean(weight, dims, correction=0, keepdim=True)
    wide = widen((weight - mean) / (variance + eps).sqrt(), channels)  # of mean 0, too
    return wide, (wide.var(dims, correction=0, keepdim=True) + eps).sqrt() * (channels / 3) ** 0.5

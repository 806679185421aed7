"""Weights of an encoder: read from a local file, and fitted to images of other than three channels."""

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from tessera.errors import InputError

State = dict[str, torch.Tensor]

_HEAD = ("fc.", "head.", "classifier.", "last_linear.", "_fc.")  # of a classifier
_COUNTER = "num_batches_tracked"  # of a batch norm; old files do without


def read_weights(path: Path, sha256: str | None = None) -> State:
    """The tensors of a .safetensors or .pt file, out of the `state_dict` or `module.` that a trainer put around them.

    Raises InputError: no such file, another digest than `sha256`, or a file that cannot be read.
    """
    if not path.is_file():
        raise InputError(f"weights {path}: no such file; give imagenet, a local file, or null for random weights")
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
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


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
    state = dict(state)
    for name, wanted in encoder.state_dict().items():
        given = state.get(name)
        if given is not None and given.ndim == 4 and given.shape != wanted.shape and given.shape[1] == 3:
            state[name] = widen(given, wanted.shape[1])
    try:
        # the plain one: smp's encoders loosen it, and drop heads under names of their own
        nn.Module.load_state_dict(encoder, state)
    except RuntimeError as error:
        raise InputError(f"weights {source} do not fit the encoder: {error}") from None


def refuse_lost(lost: list[str], state: State, source: str) -> None:
    """Raises InputError, naming `source`, if there are names that an encoder asks for and a file's state lacks."""
    lost = [name for name in lost if not name.endswith(_COUNTER)]
    if not lost:
        return
    prefixes = (name.removesuffix(lost[0]) for name in state if name.endswith(f".{lost[0]}"))
    whole = next((prefix for prefix in prefixes if {prefix + name for name in lost} <= state.keys()), None)
    hint = f"; it has them behind {whole!r}: save the state_dict() of the encoder alone" if whole else ""
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

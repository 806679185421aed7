"""A finished model: weights in a safetensors file, with all that says where they come from."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from tessera.errors import InputError


def save_checkpoint(path: Path, network: nn.Module, about: dict) -> None:
    """Writes the weights and `about` (JSON: params, data digest, parts, groups, digests, parameters, …).

    Raises OSError as any file that is written: safetensors, which writes it by itself, has an error of its own for that.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    path.write_bytes(save(tensors, metadata={"tessera": json.dumps(about, sort_keys=True)}))


def read_about(path: Path) -> dict:
    """What `save_checkpoint` was told. Raises InputError when the file is not there or not ours."""
    with _open(path) as file:
        metadata = file.metadata() or {}
    if "tessera" not in metadata:
        raise InputError(f"{path}: was not written by the train stage")
    return json.loads(metadata["tessera"])


def digest_of(path: Path) -> str:
    """The SHA-256 of a checkpoint, by which predictions name what made them."""
    with _open(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_checkpoint(path: Path, network: nn.Module, device: torch.device) -> nn.Module:
    """Loads the weights into `network`, which ends on `device` in evaluation mode."""
    with _open(path) as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{path} does not fit the network of params.yaml; train it again ({error})") from None
    return network.to(device).eval()


def _open(path: Path) -> safe_open:
    if not path.is_file():
        raise InputError(
            f"{path}: no such checkpoint; train it first: dvc repro -s train@<model>-<fold> (or full@<model>)"
        )
    try:
        return safe_open(path, "pt")
    except SafetensorError as error:
        raise InputError(f"{path}: is truncated or no checkpoint ({error}); train it again") from None

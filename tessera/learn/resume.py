"""The state of an unfinished training on disk, under a name that says what it belongs to."""

import hashlib
import json
import os
import sys
from pathlib import Path

import torch


def run_key(*belongings: object) -> str:
    """A digest of what a run belongs to (params, data digest, parts, …) and of the code that runs it."""
    digest = hashlib.sha256(json.dumps(belongings, sort_keys=True, default=str).encode())
    for _, path in sorted(_own_modules().items()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def save_state(path: Path, state: dict) -> None:
    """Writes `state` so that a kill at any moment leaves either the old file or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    with open(temporary, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_state(path: Path, device: torch.device) -> dict | None:
    """The saved state, or None when there is none."""
    return torch.load(path, map_location=device, weights_only=True) if path.exists() else None


def _own_modules() -> dict[str, Path]:
    """The source files of this repository's modules in this process."""
    return {
        name: Path(module.__file__)
        for name, module in sys.modules.items()
        if name.partition(".")[0] in ("tessera", "stages") and getattr(module, "__file__", None)
    }

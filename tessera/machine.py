"""What this machine offers, and the TESSERA_* variables that choose among it. None of it changes results."""

import os
import platform
import resource
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tessera.errors import InputError

if TYPE_CHECKING:
    import torch

# Before torch loads its OpenMP: its threads spin while they wait, which makes two processes on the same cores 10×
# slower than one after the other. A short spin keeps a lone process at full speed and two at a third of that.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

VARIABLES = {
    "TESSERA_DEVICE": "cuda, cuda:1, mps or cpu (default: the first GPU, else the CPU)",
    "TESSERA_THREADS": "CPU threads of the networks, and processes that decode (default: all cores)",
    "TESSERA_WORKERS": "processes that load patches (default: up to 8 with a GPU, else none)",
    "TESSERA_SAVE_SECONDS": "between two saves of a training's state (default: 60; longer where a save takes over 1 %)",
    "TESSERA_COMPILE": "1: torch.compile the network that is trained (default: 0)",
}


class Machine(NamedTuple):
    """Where and how fast a training runs."""

    device: "torch.device"
    workers: int = 0  # processes that load patches
    save_seconds: int = 60
    compile: bool = False


def here() -> Machine:
    """As this machine and the TESSERA_* variables say."""
    on = device()
    return Machine(on, workers(on), _number("TESSERA_SAVE_SECONDS", 60), _number("TESSERA_COMPILE", 0) > 0)


def device() -> "torch.device":
    """The device to compute on, threads and precision set."""
    import torch

    torch.set_num_threads(threads())
    name = os.environ.get("TESSERA_DEVICE")
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        found = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"TESSERA_DEVICE={name}: this device cannot be used here ({error})") from None
    if found.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32 in what autocast leaves in float32
    return found


def threads() -> int:
    """How many cores may be used."""
    return max(1, _number("TESSERA_THREADS", os.cpu_count() or 1))


def workers(on: "torch.device") -> int:
    """How many processes load patches."""
    return _number("TESSERA_WORKERS", 0 if on.type == "cpu" else min(8, os.cpu_count() or 1))


def processor() -> str:
    """The kind of CPU."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def peak_memory() -> int:
    """The largest resident set of this process so far, bytes."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default))
    if not text.isdigit():
        raise InputError(f"{variable}={text}: a whole number of at least 0 is expected")
    return int(text)

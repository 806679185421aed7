"""What this machine offers, and the TESSERA_* variables that choose among it. None of it changes results, but
for TESSERA_LOADER: either loader draws random changes of windows of its own."""

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
    "TESSERA_RANKS": "processes that train one model together, a GPU each (default: 1)",
    "TESSERA_THREADS": "CPU threads of the networks, and processes that decode (default: all cores)",
    "TESSERA_WORKERS": "processes that load patches (default: up to 8 with a GPU, else none)",
    "TESSERA_LOADER": "workers, device (windows are made on the GPU, which holds the pixels) or auto (default: device if it can)",
    "TESSERA_SAVE_SECONDS": "between two saves of a training's state (default: 60; longer where a copy of it takes over 1 %)",
    "TESSERA_COMPILE": "1: torch.compile the networks (default: 0)",
}


class Machine(NamedTuple):
    """Where and how fast a training runs."""

    device: "torch.device"
    workers: int = 0  # processes that load patches
    save_seconds: int = 60
    compile: bool = False
    loader: str = "auto"  # workers, device, or auto: device where it can


def here() -> Machine:
    """As this machine and the TESSERA_* variables say."""
    on = device()
    return Machine(on, workers(on), _number("TESSERA_SAVE_SECONDS", 60), _number("TESSERA_COMPILE", 0) > 0, loader())


def device() -> "torch.device":
    """The device to compute on, threads and precision set."""
    import torch

    torch.set_num_threads(threads())
    name = os.environ.get("TESSERA_DEVICE")
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cuda" and _share() > 1:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    elif name != "cpu" and _share() > 1:
        raise InputError(f"TESSERA_DEVICE={name}: is one device for {_share()} processes; cuda gives each its own")
    try:
        found = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"TESSERA_DEVICE={name}: this device cannot be used here ({error})") from None
    if found.type == "cuda":
        torch.cuda.set_device(found)
        torch.set_float32_matmul_precision("high")  # TF32 in what autocast leaves in float32
    return found


def threads() -> int:
    """How many cores this process may use."""
    return max(1, _number("TESSERA_THREADS", os.cpu_count() or 1) // _share())


def ranks_here() -> int:
    """How many processes of this machine train one model, to be started."""
    count = max(1, _number("TESSERA_RANKS", 1))
    if count > 1 and _share() > 1:
        raise InputError(f"TESSERA_RANKS={count}: torchrun has started {_share()} processes here already; unset it")
    return count


def workers(on: "torch.device") -> int:
    """How many processes load patches."""
    return _number("TESSERA_WORKERS", 0 if on.type == "cpu" else min(8, max(1, (os.cpu_count() or 1) // _share())))


def loader() -> str:
    """What makes the batches: workers, device or auto."""
    name = os.environ.get("TESSERA_LOADER", "auto")
    if name not in ("workers", "device", "auto"):
        raise InputError(f"TESSERA_LOADER={name}: workers, device or auto is expected")
    return name


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


def _share() -> int:
    """How many processes of this machine train one model, this one among them."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default))
    if not text.isdecimal():
        raise InputError(f"{variable}={text}: a whole number of at least 0 is expected")
    return int(text)

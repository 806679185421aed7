"""What stitching costs beside MONAI, pytorch-toolbelt, ttach and plain numpy, and what memory it takes.

uv run --group bench python -m benchmarks.inference [--quick]

A tiny network, windows of 512 px, one thread; the image lies channels last in a file. Times are CPU seconds (user +
system), medians of interleaved rounds. Overhead is what a way takes outside of its network, beyond what cropping the same
windows takes there: a network's own seconds differ from round to round by more than what is compared.
Memory is measured in processes of their own. --quick: small images, one round, nothing written to results/.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median

import h5py
import numpy as np
import torch

from benchmarks import inference_peers as peers
from benchmarks.results import ROOT, claim, write_results
from tessera.data.pixels import PixelStore

COMMAND = "uv run --group bench python -m benchmarks.inference"
MODULES = {"MONAI": "monai", "pytorch-toolbelt": "pytorch_toolbelt", "ttach": "ttach"}
FLIPS = ("identity", "flip_h")
# With a fixed threshold glibc gives large tensors back when they are freed: what is measured is what is in use. By default
# it keeps them in pieces that the next ones do not fit into.
IN_USE = {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
TWICE = ("crop + 2 forwards", "ours, flip TTA", "ttach")


def main(quick: bool) -> None:
    torch.set_num_threads(1)
    side, tall, rounds = (1024, 2048, 1) if quick else (4096, 20_000, 9)
    notes = [f"{peer}: not installed" for peer in MODULES if not _installed(peer)]
    tables, rows = [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store = peers.write_image(folder / "image.h5", (side, side, 3))
        for overlap in (0.25, 0.5):
            table, found = compare_times(store, overlap, rounds)
            tables.append(table)
            rows += found
        table, found = compare_memory(folder, store.path, side, 1024 if quick else 8192, tall)
        tables.append(table)
        rows += found
    if quick:
        print(json.dumps(rows, indent=1, ensure_ascii=False), *notes, sep="\n")
        return
    versions = {peer: version(MODULES[peer].replace("_", "-")) for peer in MODULES if _installed(peer)}
    notes.append(f"Peers: {', '.join(f'{peer} {number}' for peer, number in versions.items())}.")
    write_results("inference", "Prediction", COMMAND, tables, rows, " ".join(notes), peers=versions)


def compare_times(store: PixelStore, overlap: float, rounds: int) -> tuple[tuple, list[dict]]:
    """A table, and the claims about CPU seconds. What is compared stands side by side, in turn before and behind."""
    network = peers.Tiny().eval()
    ways: dict[str, Callable[[], object]] = {
        "pytorch-toolbelt": lambda: peers.toolbelt(store, network, overlap),
        "MONAI": lambda: peers.monai(store, network, overlap),
        "naive numpy": lambda: peers.naive(store, network, overlap),
        "crop + forward": lambda: peers.crop_and_forward(store, network, overlap),
        "ours": lambda: peers.ours(store, network, overlap),
        "crop + 2 forwards": lambda: peers.crop_and_forward(store, network, overlap, 2),
        "ours, flip TTA": lambda: peers.ours(store, network, overlap, FLIPS),
        "ttach": lambda: peers.ttach_in_ours(store, network, overlap),
    }
    ways = {name: way for name, way in ways.items() if name not in MODULES or _installed(name)}
    _check(ways)
    around: dict[str, list[float]] = {name: [] for name in ways}
    inside: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in list(ways.items())[:: -1 if number % 2 else 1]:
            network.seconds, start = 0.0, time.process_time()
            way()
            inside[name].append(network.seconds)
            around[name].append(time.process_time() - start - network.seconds)
    forward = median(inside["crop + forward"])
    over = {name: median(np.subtract(found, around["crop + forward"])) for name, found in around.items()}
    total = {name: median(found) + forward * (2 if name in TWICE else 1) for name, found in around.items()}
    where = f"{store.shape('image')[1]}², overlap {overlap}"
    claims = (
        ("overhead", over, "ours", "MONAI", 0.5),
        ("overhead", over, "ours", "naive numpy", 0.2),
        ("total", total, "ours", "pytorch-toolbelt", 1.05),
        ("total", total, "ours, flip TTA", "crop + 2 forwards", 1.2),
        ("total", total, "ours, flip TTA", "ttach", 1),
    )
    rows = [
        _beside(f"{where}: {own}, {what}, CPU s", found[own], found[peer], peer, goal)
        for what, found, own, peer, goal in claims
        if peer in ways
    ]
    body = [
        [name, f"{median(inside[name]):.3f}", f"{median(around[name]):.3f}", f"{total[name]:.3f}", f"{over[name]:.3f}"]
        for name in ways
    ]
    header = [where, "in the network, CPU s", "around it", "total, each with the same network's seconds", "overhead"]
    return (header, body), rows


def compare_memory(folder: Path, image: Path, side: int, width: int, tall: int) -> tuple[tuple, list[dict]]:
    """A table, and the claims about memory: beside MONAI, and on taller images."""
    found = {f"ours, {side}² RGB": _extra("ours", image)}
    for name, shape in (
        (f"ours, {width}² grey", (width, width, 1)),
        (f"ours, {tall} px high and {width} wide, grey", (tall, width, 1)),
        (f"ours, {tall}² grey", (tall, tall, 1)),
    ):
        path = folder / "large.h5"
        peers.write_image(path, shape, noise=False)
        found[name] = _extra("ours", path)
        path.unlink()
    square, high, large = list(found.values())[1:]
    rows = []
    if _installed("MONAI"):
        found[f"MONAI, {side}² RGB"] = other = _extra("monai", image)
        rows.append(_beside(f"{side}² RGB: extra RSS, MB", found[f"ours, {side}² RGB"], other, "MONAI", 0.1))
        for name, what in (("ours", "ours"), ("MONAI", "monai")) if side > 1024 else ():
            found[f"{name}, {side}² RGB, with what glibc keeps of freed memory"] = _extra(what, image, {})
    for what, ratio in (
        (f"{tall} px high, as a share of that at {width} px, both {width} wide", high / max(square, 1e-3)),
        (f"{tall}², as a share of that at {width}², by px of width", large / max(square, 1e-3) * width / tall),
    ):
        rows.append(claim(f"extra RSS {what}", round(ratio, 2), "≤ 1.15", ratio <= 1.15))
    return (["extra RSS beyond a batch", "MB"], [[name, f"{extra:.0f}"] for name, extra in found.items()]), rows


def measure_memory(what: str, path: Path) -> None:
    """Of a process of its own: prints by how many MB its peak grows beyond cropping and predicting one batch."""
    torch.set_num_threads(1)
    store, network = PixelStore(path), peers.Tiny(_channels(path)).eval()
    before = peers.warm_up(what, store, network)
    if what == "monai":
        peers.monai(store, network, 0.25)
    else:
        peers.write(path.with_name("predictions.h5"), store, network, 0.25)
    print((peers.peak() - before) / 1024)


def _channels(path: Path) -> int:
    with h5py.File(path) as file:
        return file["image"]["pixels"].shape[3]


def _extra(what: str, path: Path, allocator: dict = IN_USE) -> float:
    command = [sys.executable, "-m", "benchmarks.inference", "--memory", what, str(path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | allocator
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{what} failed on {path}:\n{done.stderr}")
    return float(done.stdout.splitlines()[-1])


def _check(ways: dict[str, Callable[[], object]]) -> None:
    """Far from the border, where toolbelt's padding is not seen, all give one map; this round also warms up."""
    maps = {name: way() for name, way in ways.items()}
    for name, found in maps.items():
        if found is not None and "TTA" not in name and name != "ttach":
            scale = 255 if found.dtype != np.uint8 else 1
            height, width = found.shape[1:]
            inside = np.s_[:, height // 4 : -height // 4, width // 4 : -width // 4]
            far = np.abs(found[inside] * scale - maps["ours"][inside].astype(float)).max()
            assert far <= 1, f"{name} differs by {far} levels"


def _beside(what: str, ours: float, peer: float, name: str, goal: float) -> dict:
    ratio = ours / max(peer, 1e-3)  # small images take no extra memory
    return {
        "what": f"{what}, beside {name}", "ours": round(ours, 3), "peer": round(peer, 3), "peer_name": name,
        "ratio": round(ratio, 3), "goal": f"≤ {goal} × {name}", "met": bool(ratio <= goal),
    }  # fmt: skip


def _installed(peer: str) -> bool:
    return importlib.util.find_spec(MODULES[peer]) is not None


if __name__ == "__main__":
    if "--memory" in sys.argv:
        measure_memory(sys.argv[-2], Path(sys.argv[-1]))
    else:
        main("--quick" in sys.argv[1:])

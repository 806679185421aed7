"""Random training windows from tiles.h5, beside np.memmap over the same bytes."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import h5py
import numpy as np

from tessera.data.pixels import PixelStore, create_image

WINDOW, SLICES, READS = 512, 9, 300


def compare_windows(folder: Path, side: int, rounds: int) -> tuple[list, list]:
    """A table and the claims: an RGB window, and a stack of nine grey slices."""
    rng = np.random.default_rng(0)
    shapes = {"image": (1, side, side, 3), "volume": (24, side // 2, side // 2, 1)}
    path = folder / "windows.h5"
    with h5py.File(path, "w") as file:
        for name, shape in shapes.items():
            pixels = create_image(file, name, shape, shape[1:3], classes=0)["pixels"]
            for z in range(shape[0]):
                pixels[z] = rng.integers(0, 256, shape[1:], np.uint8)
        raw = {
            name: np.memmap(path, np.uint8, "r", file[name]["pixels"].id.get_offset(), shapes[name]) for name in shapes
        }
    store, reach = PixelStore(path), SLICES // 2
    y, x = rng.integers(0, side - WINDOW, (2, READS))
    v, u = rng.integers(0, side // 2 - WINDOW, (2, READS))
    z = rng.integers(reach, 24 - reach, READS)

    def depths(i: int) -> range:
        return range(int(z[i]) - reach, int(z[i]) + reach + 1)

    results = [
        _beside(
            "a random 512×512×3 window", 0.8, rounds,
            lambda i: store.read_window("image", 0, int(y[i]), int(x[i]), WINDOW, WINDOW),
            lambda i: np.array(raw["image"][0, y[i] : y[i] + WINDOW, x[i] : x[i] + WINDOW]),
        ),
        _beside(
            "a random stack of 9 slices of 512×512", 0.7, rounds,
            lambda i: store.read_stack("volume", depths(i), (int(v[i]), int(u[i]), WINDOW, WINDOW)),
            lambda i: np.concatenate(
                raw["volume"][z[i] - reach : z[i] + reach + 1, v[i] : v[i] + WINDOW, u[i] : u[i] + WINDOW], axis=2
            ),
        ),
    ]  # fmt: skip
    header = ["training windows", "tiles.h5, CPU ms", "np.memmap, CPU ms"]
    return [(header, [[row["what"], row["ours"], row["peer"]] for row in results])], results


def _beside(what: str, goal: float, rounds: int, ours: Callable, peer: Callable) -> dict:
    assert np.array_equal(ours(0), peer(0))
    spent: dict[Callable, list[float]] = {ours: [], peer: []}
    for read in (ours, peer):
        _milliseconds(read)  # the pages are in memory from here on
    for _ in range(rounds):
        for read in spent:
            spent[read].append(_milliseconds(read))
    mine, other = (median(spent[read]) for read in (ours, peer))
    return {
        "what": what, "ours": round(mine, 3), "peer": round(other, 3), "peer_name": "np.memmap",
        "ratio": round(other / mine, 2), "goal": f"≥ {goal} × np.memmap", "met": other / mine >= goal,
    }  # fmt: skip


def _milliseconds(read: Callable[[int], np.ndarray]) -> float:
    start = time.process_time()
    for i in range(READS):
        read(i)
    return (time.process_time() - start) * 1000 / READS

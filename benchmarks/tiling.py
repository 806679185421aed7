"""Memory and speed of reading, tiling and training windows, beside the libraries one would take instead.

TESSERA_REAL_DATA=<folder> uv run --group bench python -m benchmarks.tiling [--quick]

Each number is a process of its own; rounds are interleaved, CPU seconds (user + system, imports apart) are medians.
--quick: small files, one round, nothing written to results/.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.generated import write_large, write_mask, write_rle
from benchmarks.results import ROOT, claim, write_results
from benchmarks.tiling_tasks import PATCHES
from benchmarks.tiling_windows import compare_windows

COMMAND = "TESSERA_REAL_DATA=<folder> uv run --group bench python -m benchmarks.tiling"
PEERS = {"tifffile zarr": "zarr", "rasterio": "rasterio", "pyvips": "pyvips", "pytorch-toolbelt": "pytorch_toolbelt"}
LIMIT = 700  # MB, of tiling the largest file
LABELLED = ("tile mask", "tile rle", "ingest mask", "ingest rle")  # a mask TIFF or an RLE row says the label
KINDS = ("deflate tiles", "zstd tiles", "deflate strips")


def main(quick: bool) -> None:
    small, large, side, rounds = (1024, 2048, 2048, 1) if quick else (20_000, 40_000, 8192, 5)
    tables, rows, notes = [], [], [f"{peer}: not installed" for peer in PEERS if not _installed(peer)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for part in (
            compare_windows(folder, 2048 if quick else 8192, rounds),
            *(_compare(kind, write_large(folder / "speed.tif", side, kind), rounds) for kind in KINDS),
            *_real(notes, rounds, quick),
            _memory(folder, small, large, "deflate tiles", ("tile", *LABELLED)),
            _memory(folder, small, large, "deflate strips", ("tile",)),
        ):
            tables += part[0]
            rows += part[1]
    if quick:
        print(json.dumps(rows, indent=1, ensure_ascii=False), *notes, sep="\n")
        return
    versions = {peer: version(PEERS[peer].replace("_", "-")) for peer in PEERS if _installed(peer)}
    write_results("tiling", "Reading and tiling", COMMAND, tables, rows, " ".join(notes), peers=versions)


def _compare(what: str, path: Path, rounds: int) -> tuple[list, list]:
    """Decode → 512-px patches with overlap 64: a table, and the claims against each peer."""
    peers = [peer for peer in PATCHES if _installed(peer)]
    runs: dict[str, list[dict]] = {peer: [] for peer in peers}
    for _ in range(rounds):
        for peer in peers:
            runs[peer].append(_run(peer, path))
    cpu = {peer: median(run["cpu"] for run in runs[peer]) for peer in peers}
    rss = {peer: median(run["rss"] for run in runs[peer]) for peer in peers}
    right = {peer: runs[peer][0]["check"] == runs["ours"][0]["check"] for peer in peers}
    body = [
        [peer, f"{cpu[peer]:.2f}", f"{cpu[peer] / cpu['ours']:.2f}", f"{rss[peer] / 2**20:.0f}", "yes" if right[peer] else "no"]
        for peer in peers
    ]  # fmt: skip
    goals = {
        "tifffile.imread": 1.2, "tifffile zarr": 15 if "strips" in what else 4, "rasterio": 1, "pyvips": 0.75,
        "pytorch-toolbelt": 1,
    }  # fmt: skip
    rows = [
        _beside(f"{what}: decode → patches, CPU s", cpu["ours"], cpu[peer], peer, goals[peer])
        for peer in peers[1:]
        if right[peer] or peer != "pyvips"
    ]
    return [([what, "CPU s", "× ours", "peak RSS, MB", "the same pixels"], body)], rows


def _real(notes: list[str], rounds: int, quick: bool) -> list[tuple[list, list]]:
    """The JPEG-TIFF of the real data, where there is one."""
    path = Path(os.environ.get("TESSERA_REAL_DATA", "")) / "bigtiff/images/painting_15500x13240.tif"
    if quick or not path.is_file():
        notes.append("the JPEG-TIFF of the real data: not measured (TESSERA_REAL_DATA, no --quick)")
        return []
    return [_compare("JPEG tiles, 15500×13240", path, rounds)]


def _memory(folder: Path, small: int, large: int, kind: str, tasks: tuple[str, ...]) -> tuple[list, list]:
    """Peak RSS of `tile`, and of it and `ingest` with labels, on two sizes; of reading one beside tifffile."""
    source = folder / "memory"
    (source / "masks").mkdir(parents=True, exist_ok=True)
    peak: dict[str, dict[int, float]] = {task: {} for task in tasks}
    for side in (small, large):
        path = write_large(source / "image.tif", side, kind)
        write_mask(source / "masks/image.tif", side)
        write_rle(source / "train.csv", "image", side)
        for task in tasks:
            peak[task][side] = _run(task, path)["rss"] / 2**20
        if side == small:
            ours, whole = (_run(task, path)["rss"] / 2**20 for task in ("ours", "tifffile.imread"))
    body = [[task, f"{peak[task][small]:.0f}", f"{peak[task][large]:.0f}"] for task in tasks]
    rows = [row for task in tasks for row in _bounded(f"{kind}: peak RSS of `{task}`", small, large, peak[task])]
    rows.append({
        "what": f"{kind}: peak RSS of reading {small}×{small} RGB to patches, MB", "ours": round(ours),
        "peer": round(whole), "peer_name": "tifffile.imread", "ratio": round(ours / whole, 3),
        "goal": "≤ 1/6 of tifffile.imread", "met": ours <= whole / 6,
    })  # fmt: skip
    return [([f"peak RSS, MB: {kind}", f"{small}×{small}", f"{large}×{large}"], body)], rows


def _bounded(what: str, small: int, large: int, peak: dict[int, float]) -> list[dict]:
    ratio = peak[large] / peak[small]
    return [
        claim(f"{what} on {large}×{large} RGB, MB", round(peak[large]), f"≤ {LIMIT}", peak[large] <= LIMIT),
        claim(f"{what}, as a share of that at {small}×{small}", round(ratio, 2), "0.85…1.15", 0.85 <= ratio <= 1.15),
    ]


def _beside(what: str, ours: float, peer: float, name: str, goal: float) -> dict:
    ratio = peer / ours
    return {
        "what": f"{what}, beside {name}", "ours": round(ours, 3), "peer": round(peer, 3), "peer_name": name,
        "ratio": round(ratio, 2), "goal": f"≥ {goal} × {name}", "met": ratio >= goal,
    }  # fmt: skip


def _run(task: str, path: Path) -> dict:
    """One task in a process of its own, on one thread."""
    command = [sys.executable, "-m", "benchmarks.tiling_tasks", task, str(path)]
    environment = os.environ | {"GDAL_NUM_THREADS": "1", "VIPS_CONCURRENCY": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{task} failed on {path}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def _installed(peer: str) -> bool:
    return peer not in PEERS or importlib.util.find_spec(PEERS[peer]) is not None


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])

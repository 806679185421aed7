"""Seconds by stage of `dvc repro` on the embedded sample, imports apart.

uv run python -m benchmarks.sample
"""

import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.results import Finished, claim, clone, repro, write_results

GOAL = 300  # seconds


def import_seconds(stage: str, folder: Path) -> float:
    """Seconds of a process that only imports the stage."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import stages.{stage}"], cwd=folder, check=True)
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = clone(Path(temporary) / "tessera")
        write(repro(folder), folder)


def write(finished: Finished, folder: Path) -> None:
    """Writes results/sample.md and .json from a run in a clone."""
    by_stage = defaultdict(list)
    for name, seconds in finished.stages:
        by_stage[name.partition("@")[0]].append(seconds)
    body = []
    for stage, runs in by_stage.items():
        imports = import_seconds(stage, folder) * len(runs)
        body.append([stage, len(runs), f"{sum(runs):.1f}", f"{imports:.1f}", f"{sum(runs) - imports:.1f}"])
    body.append(["all, with DVC", len(finished.stages), f"{finished.seconds:.1f}", "", ""])
    header = ["stage", "runs", "seconds", "of them imports", "work (and DVC's part)"]
    whole = round(finished.seconds, 1)
    rows = [claim("`dvc repro` on the sample, seconds", whole, f"< {GOAL}", finished.seconds < GOAL)]
    command = "uv run python -m benchmarks.sample"
    write_results("sample", "The sample competition, by stage", command, [(header, body)], rows)


if __name__ == "__main__":
    main()

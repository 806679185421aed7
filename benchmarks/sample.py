"""Seconds by stage of `dvc repro` on the embedded sample, imports apart.

uv run python -m benchmarks.sample
"""

import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.results import claim, clone, repro, write_results

GOAL = 300  # seconds


def import_seconds(stage: str, folder: Path) -> float:
    """Seconds of a process that only imports the stage."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import stages.{stage}"], cwd=folder, check=True)
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = clone(Path(temporary) / "tessera")
        finished = repro(folder)
        by_stage = defaultdict(list)
        for name, seconds in finished.stages:
            by_stage[name.partition("@")[0]].append(seconds)
        imports = {stage: import_seconds(stage, folder) for stage in by_stage}
    body = [
        [
            stage,
            len(runs),
            f"{sum(runs):.1f}",
            f"{imports[stage] * len(runs):.1f}",
            f"{sum(runs) - imports[stage] * len(runs):.1f}",
        ]
        for stage, runs in by_stage.items()
    ]
    body.append(["all, with DVC", len(finished.stages), f"{finished.seconds:.1f}", "", ""])
    rows = [
        claim("`dvc repro` on the sample, seconds", round(finished.seconds, 1), f"< {GOAL}", finished.seconds < GOAL)
    ]
    write_results(
        "sample", "The sample competition, by stage", "uv run python -m benchmarks.sample",
        [(["stage", "runs", "seconds", "of them imports", "work (and DVC's part)"], body)], rows,
    )  # fmt: skip


if __name__ == "__main__":
    main()

"""The two real competitions and the sample, each by `dvc repro` in a clone of its own.

TESSERA_REAL_DATA=<folder> uv run python -m benchmarks.real [monuseg isbi2012 sample]
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import sample
from benchmarks.results import RESULTS, Finished, claim, clone, commit, repro, write_results
from tessera.decide.bootstrap import paired_interval
from tessera.decide.decision import EVERYWHERE
from tessera.metrics.counts import FScore

GOALS = {"monuseg": 0.79, "isbi2012": 0.81}  # cross-fitted pooled Dice from random weights
MINUTES = 35
HEADER = [
    "set", "model", "cross-fitted Dice", "95 % interval", "optimistic Dice", "train img/s",
    "train peak RSS, GiB", "minutes of `dvc repro`", "peak RSS of any stage, GiB",
]  # fmt: skip


def run(name: str, source: Path | None, folder: Path) -> tuple[list[list], dict, Finished]:
    """One competition: table rows, its scores.json, and the run."""
    clone(folder)
    if source:
        shutil.copy(folder / f"recipes/{name}.yaml", folder / "params.yaml")
        (folder / "data/raw").mkdir(parents=True)
        (folder / f"data/raw/{name}").symlink_to(source.resolve(), target_is_directory=True)
    finished = repro(folder)
    scores = json.loads((folder / "submissions/scores.json").read_text())
    body = [_row(name, model, said, records(folder, model)) for model, said in scores["models"].items()]
    body.append(_row(name, "ensemble", scores["ensemble"], []))
    body[-1][-2:] = [f"{finished.seconds / 60:.1f}", f"{finished.peak_rss / 2**30:.1f}"]
    return body, scores, finished


def records(folder: Path, model: str) -> list[dict]:
    """The run records of a model's folds."""
    return [json.loads(path.read_text()) for path in sorted((folder / f"checkpoints/records/{model}").glob("*.json"))]


def _row(name: str, model: str, said: dict, of_folds: list[dict]) -> list:
    low, high = said["interval"] or (float("nan"),) * 2
    speed = f"{np.mean([r['images_per_second'] for r in of_folds]):.1f}" if of_folds else ""
    memory = f"{max(r['peak_rss_bytes'] for r in of_folds) / 2**30:.1f}" if of_folds else ""
    return [
        name,
        model,
        f"{said['crossfitted']:.4f}",
        f"{low:.4f}…{high:.4f}",
        f"{said['optimistic']:.4f}",
        speed,
        memory,
        "",
        "",
    ]


def sample_claims(scores: dict) -> list[dict]:
    """What the sample is there to show: that slices, an ensemble and thresholds matter."""
    ensemble, models = scores["ensemble"], scores["models"]
    best = max(models, key=lambda name: models[name]["crossfitted"])
    fixed = np.mean([curve[127] for curve in scores["curves"][EVERYWHERE]])
    tuned = ensemble["optimistic"] - fixed
    return [
        paired_claim("2.5D minus 2-D", models["unet_2d"], models["unet_25d"], scores),
        paired_claim(f"ensemble minus {best}", models[best], ensemble, scores),
        claim("sample: tuned decision minus one threshold of 128 (optimistic)", f"{tuned:+.4f}", "> 0", tuned > 0),
    ]


def paired_claim(what: str, first: dict, second: dict, scores: dict) -> dict:
    """The gain of the second over the first, cross-fitted, with its paired interval over groups."""
    statistics = [np.array(said["statistics"]) for said in (first, second)]
    score = FScore(scores["score"]["average"], scores["score"]["empty"])
    low, high = paired_interval(*statistics, np.array(scores["units"]["group"]), score, resamples=10000, seed=0)
    gain = second["crossfitted"] - first["crossfitted"]
    return claim(
        f"sample: {what}, paired interval over groups", f"{gain:+.4f} ({low:+.4f}…{high:+.4f})", "excludes 0", low > 0
    )


def main(names: list[str]) -> None:
    data = os.environ.get("TESSERA_REAL_DATA")
    if not data:
        sys.exit("TESSERA_REAL_DATA is not set: it names the folder that holds monuseg/ and isbi2012/")
    for name in names or [*GOALS, "sample"]:
        with tempfile.TemporaryDirectory() as temporary:
            folder, ran = Path(temporary) / "tessera", commit()
            body, scores, finished = run(name, Path(data) / name if name in GOALS else None, folder)
            threads = records(folder, next(iter(scores["models"])))[0]["threads"]
            if name == "sample":
                sample.write(finished, folder)  # the same run tells its seconds by stage
        if name in GOALS:
            found, minutes = scores["ensemble"]["crossfitted"], finished.seconds / 60
            rows = [
                claim(f"{name}: cross-fitted pooled Dice", round(found, 4), f"≥ {GOALS[name]}", found >= GOALS[name]),
                claim(f"{name}: minutes of `dvc repro`", round(minutes, 1), f"≤ {MINUTES}", minutes <= MINUTES),
            ]
        else:
            rows = sample_claims(scores)
        sets = earlier()
        sets[name] = {"commit": ran, "threads": threads, "body": [[*line, ran] for line in body], "rows": rows}
        write(sets)


def earlier() -> dict:
    """What earlier runs measured: a run of one set keeps the others' lines, each with its commit."""
    path = RESULTS / "real.json"
    return json.loads(path.read_text())["sets"] if path.exists() else {}


def write(sets: dict) -> None:
    """Writes results/real.md and .json from all sets."""
    body = [line for one in sets.values() for line in one["body"]]
    rows = [row for one in sets.values() for row in one["rows"]]
    threads = ", ".join(f"{name} {one.get('threads', 'not recorded')}" for name, one in sets.items())
    note = (
        "From random weights, on CPU. Scores from submissions/scores.json, speed and memory from the run records of each "
        f"fold. Threads a training: {threads}."
    )
    command = "uv run python -m benchmarks.real"
    write_results("real", "Real competitions", command, [([*HEADER, "commit"], body)], rows, note, sets=sets)


if __name__ == "__main__":
    main(sys.argv[1:])

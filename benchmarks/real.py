"""The two real competitions and the sample, each by `dvc repro` in a clone of its own.

TESSERA_REAL_DATA=<folder> uv run python -m benchmarks.real [monuseg isbi2012 sample] [--keep <folder>]

With --keep, the clones stay in that folder and are used again: trainings that a changed code would repeat step by step
(`stages.keep`) are kept, all that follows them runs again.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml

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
LADDER = ["set", "with", "cross-fitted Dice", "95 % interval", "gain ± standard error", "optimistic Dice", "minutes"]
TRIED = ["set", "tried", "alone", "gain ± standard error", "kept"]
WHERE = {"view": "+ TTA", "model": "+ ensemble", "blend": "+ ensemble", "step": "+ rule"}  # on the ladder


def run(name: str, source: Path | None, folder: Path) -> tuple[dict, Finished]:
    """One competition: its tables, and the run."""
    prepare(name, source, folder)
    finished = repro(folder)
    scores = json.loads((folder / "submissions/scores.json").read_text())
    body = [_row(name, model, said, records(folder, model)) for model, said in scores["models"].items()]
    body.append(_row(name, "ensemble", scores["ensemble"], []))
    seconds = seconds_of(finished, folder, list(scores["models"]))
    minutes = (
        finished.seconds + sum(seconds.values()) - sum(dict(finished.stages).get(one, 0) for one in seconds)
    ) / 60
    body[-1][-2:] = [f"{minutes:.1f}", f"{finished.peak_rss / 2**30:.1f}"]
    stored = len(yaml.safe_load((folder / "params.yaml").read_text())["predict"]["views"])
    kept = not any(stage.startswith("train") for stage, _ in finished.stages)
    found = {
        "kept": kept, "threads": records(folder, next(iter(scores["models"])))[0]["threads"],
        "body": body, "ladder": ladder(name, scores, stored, seconds), "tried": tried(name, scores),
        "unhelpful": unhelpful(scores), "rows": claims(name, scores, minutes),
    }  # fmt: skip
    return found, finished


def claims(name: str, scores: dict, minutes: float) -> list[dict]:
    """What a set is measured for."""
    if name not in GOALS:
        return sample_claims(scores)
    found = scores["ensemble"]["crossfitted"]
    return [
        claim(f"{name}: cross-fitted pooled Dice", round(found, 4), f"≥ {GOALS[name]}", found >= GOALS[name]),
        claim(f"{name}: minutes of `dvc repro`", round(minutes, 1), f"≤ {MINUTES}", minutes <= MINUTES),
    ]


def prepare(name: str, source: Path | None, folder: Path) -> None:
    """A clone at the committed state, with the recipe and the data; one that is there already keeps its trainings."""
    again = folder.exists()
    if again:
        subprocess.run(["git", "checkout", "-q", "params.yaml"], cwd=folder, check=True)
        subprocess.run(["git", "pull", "-q", "--ff-only"], cwd=folder, check=True)
    else:
        clone(folder)
    if source:
        shutil.copy(folder / f"recipes/{name}.yaml", folder / "params.yaml")
        link = folder / f"data/raw/{name}"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(source.resolve(), target_is_directory=True)
    if again:
        repro(folder, "fold", "extra")
        subprocess.run([sys.executable, "-m", "stages.keep", "train"], cwd=folder, check=True)


def ladder(name: str, scores: dict, stored: int, seconds: dict[str, float]) -> list[list]:
    """What each freedom gained, and the minutes of training, predicting and deciding that it asks for in all.

    stored: views. seconds: by stage. A view's share of the predictions is one by their number.
    """
    body = []
    for rung in scores["ladder"]:
        views = len(rung["views"]) / stored
        needed = {stage: spent for stage, spent in seconds.items() if _model_of(stage) in (None, *rung["models"])}
        spent = sum(each * (views if stage.startswith("oof") else 1) for stage, each in needed.items())
        said = f"{rung['what']} ({', '.join(rung['models'])}; {', '.join(rung['views'])})"
        body.append(
            [
                name,
                said,
                f"{rung['crossfitted']:.4f}",
                _interval(rung["interval"]),
                _gain(rung) if "gain" in rung else "",
                f"{rung['optimistic']:.4f}",
                f"{spent / 60:.1f}",
            ]
        )
    return body


def seconds_of(finished: Finished, folder: Path, models: list[str]) -> dict[str, float]:
    """Seconds by stage up to `tune`; of trainings that were kept, what their run records say."""
    before = ("sample", "ingest", "tile", "clean", "fold", "extra", "train", "oof", "tune")
    seconds = {
        f"train@{model}-{path.stem.removeprefix('fold_')}": json.loads(path.read_text())["train_seconds"]
        for model in models
        for path in (folder / f"checkpoints/records/{model}").glob("fold_*.json")
    }
    return seconds | {stage: spent for stage, spent in finished.stages if stage.partition("@")[0] in before}


def tried(name: str, scores: dict) -> list[list]:
    """What the last decision was made of, kept or not."""
    return [
        [
            name,
            f"{one['kind']} {one['name']}",
            f"{one['alone']:.4f}",
            _gain(one),
            "yes" if one["kept"] else "no",
        ]
        for one in scores["tried"]
    ]


def unhelpful(scores: dict) -> list[str]:
    """What did not help, in words: an ensemble that its best model beats, lines of the ladder that gain no more than their
    standard error, and what was left out."""
    models = {model: one["crossfitted"] for model, one in scores["models"].items()}
    best, ensemble = max(models, key=models.get), scores["ensemble"]["crossfitted"]
    lines = []
    if ensemble < models[best]:
        lines.append(f"the ensemble, {ensemble:.4f}, is below the best single model, {best} with {models[best]:.4f}")
    lines += [
        _little(rung, scores["tried"]) for rung in scores["ladder"] if "gain" in rung and rung["gain"] <= rung["se"]
    ]
    left = [f"{one['kind']} {one['name']} ({_gain(one)})" for one in scores["tried"] if not one["kept"]]
    return lines + ([f"tried and left out: {', '.join(left)}"] if left else [])


def _little(rung: dict, tried: list[dict]) -> str:
    """What a line of the ladder gained, which is little, and what was kept in it all the same."""
    size, error = abs(rung["gain"]), rung["se"]
    said = f"{rung['what']} gains {size:.4f} ± {error:.4f}, within its standard error"
    if rung["gain"] < 0:
        said = f"{rung['what']} scores {size:.4f} ± {error:.4f} lower than the line before it"
    kept = [
        f"{one['name']} was kept by a gain beyond its standard error ({_gain(one)})"
        for one in tried
        if one["kept"] and WHERE[one["kind"]] == rung["what"] and one["gain"] > one["se"]
    ]
    return said + (f", though {' and '.join(kept)}" if kept else "")


def _gain(one: dict) -> str:
    return f"{one['gain']:+.4f} ± {one['se']:.4f}"


def _interval(bounds: list[float] | None) -> str:
    return "–" if bounds is None else "{:.4f}…{:.4f}".format(*bounds)


def _model_of(stage: str) -> str | None:
    return stage.partition("@")[2].rpartition("-")[0] or None


def records(folder: Path, model: str) -> list[dict]:
    """The run records of a model's folds."""
    return [json.loads(path.read_text()) for path in sorted((folder / f"checkpoints/records/{model}").glob("*.json"))]


def _row(name: str, model: str, said: dict, of_folds: list[dict]) -> list:
    speed = f"{np.mean([r['images_per_second'] for r in of_folds]):.1f}" if of_folds else ""
    memory = f"{max(r['peak_rss_bytes'] for r in of_folds) / 2**30:.1f}" if of_folds else ""
    return [
        name,
        model,
        f"{said['crossfitted']:.4f}",
        _interval(said["interval"]),
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


def main(names: list[str], keep: Path | None) -> None:
    data = os.environ.get("TESSERA_REAL_DATA")
    if not data:
        sys.exit("TESSERA_REAL_DATA is not set: it names the folder that holds monuseg/ and isbi2012/")
    for name in names or [*GOALS, "sample"]:
        with contextlib.nullcontext(keep) if keep else tempfile.TemporaryDirectory() as clones:
            folder, ran = Path(clones) / name, commit()
            found, finished = run(name, Path(data) / name if name in GOALS else None, folder)
            if name == "sample":
                sample.write(finished, folder)  # the same run tells its seconds by stage
        for table in ("body", "ladder", "tried"):
            found[table] = [[*line, ran] for line in found[table]]
        sets = earlier()
        sets[name] = {"commit": ran} | found
        write(sets)


def earlier() -> dict:
    """What earlier runs measured: a run of one set keeps the others' lines, each with its commit."""
    path = RESULTS / "real.json"
    return json.loads(path.read_text())["sets"] if path.exists() else {}


def write(sets: dict) -> None:
    """Writes results/real.md and .json from all sets."""
    tables = [
        ([*header, "commit"], [line for one in sets.values() for line in one.get(table, [])])
        for header, table in ((HEADER, "body"), (LADDER, "ladder"), (TRIED, "tried"))
    ]
    rows = [row for one in sets.values() for row in one["rows"]]
    threads = ", ".join(f"{name} {one.get('threads', 'not recorded')}" for name, one in sets.items())
    note = (
        "From random weights, on CPU. Scores from submissions/scores.json, speed and memory from the run records of each "
        f"fold. Threads a training: {threads}. The second table decides anew with one freedom more in each line, out of fold "
        "throughout; its minutes are those of the stages that a line needs. The third says what was tried for the last line."
    )
    if kept := [name for name, one in sets.items() if one.get("kept")]:
        note += (
            f" Trainings of {', '.join(kept)} were kept from an earlier run (`stages.keep` found their first steps the same); "
            "their minutes and img/s are of that run, whatever ran beside it."
        )
    said = [f"- {name}: {line}." for name, one in sets.items() for line in one.get("unhelpful", [])]
    note += "\n\nWhat did not help:\n\n" + "\n".join(said) if said else ""
    command = "uv run python -m benchmarks.real"
    write_results("real", "Real competitions", command, tables, rows, note, sets=sets)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="set", help="monuseg, isbi2012, sample; all by default")
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    main(arguments.names, arguments.keep)

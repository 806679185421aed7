"""The page a person looks at after a run: one HTML file that needs nothing but itself."""

from collections.abc import Iterable
from pathlib import Path

import jinja2
import pandas as pd

from tessera.data.parts import summarize
from tessera.decide.decision import EVERYWHERE, Decision
from tessera.deliver import plots
from tessera.deliver.scoreboard import say_chosen, say_levels

NONE = "–"  # what is not known; never 0


def build_page(
    title: str,
    scores: dict,
    records: dict[str, dict[int, dict]],
    histories: dict[str, dict[int, pd.DataFrame]],
    folds: list[dict],
    kinds: dict[str, dict[str, dict]],
    gallery: tuple[list[plots.Row], list[plots.Row]],
) -> str:
    """The page.

    scores: what tune wrote. records, histories: model → fold → run record, and epochs. folds: rows of
    `summarize`. kinds: stratum, domain → `summarize_kind`. gallery: the best and the worst rows.
    """
    ensemble = scores["ensemble"]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "score": _score, "interval": _interval, "signed": _signed, "number": _number, "percent": percent,
        "duration": _duration, "speed": _speed, "gib": _gib, "name": _name,
    }  # fmt: skip
    best, worst = gallery
    models = model_rows(scores, records)
    return environment.get_template("report.html.jinja").render(
        title=title, metric=_metric(scores["score"]), ensemble=ensemble, notes=scores["notes"],
        chosen_on_validation=say_chosen(scores),
        decided=decided(ensemble), models=models, gpu=any(row["gpu_memory"] for row in models), runs=_runs(records),
        folds=fold_rows(ensemble, folds), worsts=worsts(scores), groups=_groups(ensemble),
        kinds={column: kind_rows(ensemble, column, rows) for column, rows in kinds.items()},
        ladder=scores["ladder"], tried=scores["tried"], stability=stability_rows(scores), other=scores["other"],
        shake_up=scores["shake_up"],
        curves=plots.learning_curves(histories),
        thresholds=plots.threshold_curves(scores["curves"], Decision(**ensemble["decision"]), scores["classes"]),
        best=best, worst=worst, truth=plots.TRUTH, prediction=plots.PREDICTION,
    )  # fmt: skip


def decided(said: dict) -> list[tuple[str, str, str]]:
    """(what, chosen, range over the held-out sets' own choices or "") of a decision."""
    decision, others = said["decision"], [one["decision"] for one in said.get("holdouts", [])]
    lines = [
        (f"weight of {model}", f"{weight:g}", _spread(f"{one['weights'][model]:g}" for one in others))
        for model, weight in decision["weights"].items()
    ]
    lines += [
        (what, say(decision), _spread(map(say, others)))
        for what, say in (("views", lambda one: " + ".join(one["views"])), ("blend", lambda one: one["blend"]))
    ]
    levels, cut = decision["levels"], decision["cut"]
    other = {"": cut, "stratum": f"{cut}, other strata", "domain": f"{cut}, other domains"}[decision["by"]]
    unit = " of 255" if cut == "threshold" else ""
    for name, chosen in levels.items():
        seen = (say_levels(one["levels"].get(name, one["levels"][EVERYWHERE])) for one in others)
        what = other if name == EVERYWHERE else f"{cut}, {name}"
        lines.append((what, say_levels(chosen) + unit, _spread(seen)))
    steps = {name: None for one in (decision, *others) for name in one["steps"]}
    lines += [(name, _step(decision, name), _spread(_step(one, name) for one in others)) for name in steps]
    return lines


def _step(decision: dict, name: str) -> str:
    return str(decision["steps"].get(name, "off"))


def model_rows(scores: dict, records: dict[str, dict[int, dict]]) -> list[dict]:
    """A row a model and the ensemble: scores, levels, and what the run records say of cost."""
    said = [*scores["models"].items(), ("ensemble", scores["ensemble"])]
    known = [
        value for _, one in said for value in (one["optimistic"], one["crossfitted"], *(one.get("interval") or ()))
    ]
    low, high = (bound(value for value in known if value is not None) for bound in (min, max))
    rows = []
    for name, one in said:
        weights = scores["ensemble"]["decision"]["weights"]
        members = [name] if name in scores["models"] else [model for model, weight in weights.items() if weight > 0]
        levels = {key or NONE: say_levels(value) for key, value in one["decision"]["levels"].items()}
        if len(levels) > 1:
            del levels[EVERYWHERE]  # of strata that these rows have not
        rows.append(
            {"name": name, "levels": levels, "bar": _bar(one, low, high)}
            | {key: one.get(key) for key in ("optimistic", "crossfitted", "interval", "reason")}
            | _cost([records[model] for model in members])
        )
    return rows


def _cost(by_model: list[dict[int, dict]]) -> dict:
    """Parameters (of one network a model), training seconds (all folds), img/s, peak bytes and commits of models."""
    runs = [record for by_fold in by_model for record in by_fold.values()]
    seconds, images = (sum(record[key] for record in runs) for key in ("train_seconds", "images"))
    gpu = [record["peak_gpu_bytes"] for record in runs if record["peak_gpu_bytes"] is not None]
    return {
        "parameters": sum(next(iter(by_fold.values()))["parameters"] for by_fold in by_model),
        "seconds": seconds, "speed": images / seconds, "memory": max(record["peak_rss_bytes"] for record in runs),
        "gpu_memory": max(gpu, default=None), "commits": sorted({_commit(record["commit"]) for record in runs}),
    }  # fmt: skip


def _bar(said: dict, low: float, high: float) -> dict[str, float | None]:
    """Where scores lie between the table's lowest and highest, in % of a bar's width."""
    values = {"honest": said["crossfitted"], "optimistic": said["optimistic"]}
    values |= dict(zip(("start", "end"), said.get("interval") or (None, None), strict=True))
    return {
        key: None if value is None else round(4 + 92 * (value - low) / ((high - low) or 1), 2)
        for key, value in values.items()
    }


def fold_rows(said: dict, folds: list[dict]) -> list[dict]:
    """The folds that were run: score beside what they hold."""
    known = {str(fold["fold"]): fold for fold in folds}
    return [known[name] | {"score": score} for name, score in said["by_fold"].items()]


def kind_rows(said: dict, column: str, rows: dict[str, dict]) -> list[dict]:
    """The strata, or domains: score beside what they hold."""
    return [rows[name] | {"name": name, "score": score} for name, score in said[f"by_{column}"].items()]


def stability_rows(scores: dict) -> list[dict]:
    """By stratum, domain or all rows: the decided levels, and those that each held-out set alone would have."""
    levels = scores["ensemble"]["decision"]["levels"]
    return [
        {
            "name": "all rows" if name == EVERYWHERE else name,
            "decided": say_levels(levels.get(name, levels[EVERYWHERE])),
            "own": [say_levels(own) if own else NONE for own in said["per_fold"]],
            "spread": NONE if said["spread"] is None else say_levels(said["spread"]), "loss": said["loss"],
        }
        for name, said in scores["stability"].items()
    ]  # fmt: skip


def summarize_kind(column: str, parts: pd.DataFrame, manifest: pd.DataFrame, patches: pd.DataFrame) -> dict[str, dict]:
    """What `summarize` says of folds, said of the strata, or domains, of these parts: name → row."""
    kinds = parts[["image_id"]].merge(manifest, on="image_id")[column]
    names = sorted(set(kinds))
    numbers = kinds.map(names.index).to_numpy()
    rows = summarize(parts.assign(fold=numbers), manifest, patches, len(names))
    return dict(zip(names, rows, strict=True))


def worsts(scores: dict) -> dict[str, dict]:
    """The domain, the stratum and the group with the lowest score and how many rows it has, where there are several."""
    found = {}
    for column, kind in (("domain", "domains"), ("stratum", "strata"), ("group", "groups")):
        of = scores["ensemble"][f"by_{column}"]
        if len(of) > 1:
            name = min(of, key=of.get)
            found[kind] = {
                "name": name, "score": of[name], "rows": scores["rows"][column].count(name), "of": len(of),
            }  # fmt: skip
    return found


def _groups(said: dict) -> str:
    """How many groups an interval is over."""
    number = len(said["by_group"])
    return f"{number} group{'s' * (number != 1)}"


def _runs(records: dict[str, dict[int, dict]]) -> list[str]:
    """Where the models were trained, each way once."""
    runs = [record for by_fold in records.values() for record in by_fold.values()]
    return sorted(
        {f"{run['device']}, {run['threads']} thread(s), torch {run['torch']}, amp {run['amp']}" for run in runs}
    )


def _metric(score: dict) -> str:
    """How the score aggregates, and what an empty row counts."""
    over = {"pooled": ", over all pixels of all rows", "per_image": ", mean of the rows", None: ""}[score["average"]]
    empty = "" if score["empty"] is None else f"; {score['empty']:g} where truth and prediction are both empty"
    return f"{score['name']}{over}{empty}."


def _spread(chosen: Iterable[str]) -> str:
    """The different values, in the order of first choice."""
    return ", ".join(dict.fromkeys(chosen))


def _commit(commit: str | None) -> str:
    """The commit's first 10 digits, with its + where the working tree had changes."""
    return NONE if commit is None else commit[:10] + "+" * commit.endswith("+")


def _score(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


def _interval(bounds: list[float] | None) -> str:
    return NONE if bounds is None else "{:.4f} … {:.4f}".format(*bounds)


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def percent(share: float) -> str:
    return f"{share:.2%}".replace("%", "\N{NARROW NO-BREAK SPACE}%")


def _duration(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _speed(images: float) -> str:
    return f"{images:.1f}" if images < 100 else _number(images)


def _gib(size: int | None) -> str:
    return NONE if size is None else f"{size / 2**30:.1f} GiB"


def _name(text: str) -> str:
    return text or NONE

"""All that scores.json says of the ways to decide: each model's, the ensemble's, and how much to trust them."""

from dataclasses import replace

import numpy as np

from tessera.decide.bootstrap import paired_gain
from tessera.decide.decision import Decision
from tessera.decide.honest import evaluate
from tessera.decide.levels import Rule
from tessera.decide.search import Freedoms, Search
from tessera.decide.shake_up import shake_up
from tessera.decide.stability import stability

PUBLIC, SPLITS = 0.3, 1000  # of the simulated leaderboard: the share of groups that it shows, how often it is drawn


def verdict(search: Search, free: Freedoms, resamples: int, seed: int) -> dict:
    """`ensemble`: `evaluate` of all that `free` leaves open. `models`: the same with one model each. `ladder`: what each
    freedom adds. `tried`: what the ensemble's decision was made of. `stability`: of its levels. `other`: the way that scores
    highest of those that decide otherwise. `shake_up`: of the choice between the two. `worst_domain`, `worst_stratum`:
    name and score."""
    ensemble = evaluate(search, free, resamples, seed)
    models = {
        name: evaluate(search, replace(free, models=(name,)), resamples, seed) if len(free.models) > 1 else ensemble
        for name in free.models
    }
    steps = {what: evaluate(search, way, resamples, seed) for what, way in _fewer(free).items()}
    return {
        "ensemble": {key: value for key, value in ensemble.items() if key != "tried"},
        "models": {name: {key: value for key, value in one.items() if key != "tried"} for name, one in models.items()},
        "ladder": _ladder(search, steps | {"+ rule": ensemble}),
        "tried": ensemble["tried"],
        "stability": stability(search, Decision(**ensemble["decision"]), free.rule.one, seed),
        **_beside_other(search, ensemble, steps | {f"{name} alone": one for name, one in models.items()}, seed),
        "worst_domain": _worst(ensemble["by_domain"]),
        "worst_stratum": _worst(ensemble["by_stratum"]),
    }


def _fewer(free: Freedoms) -> dict[str, Freedoms]:
    """Ways to decide with fewer freedoms, in the order in which competitors add them: a single model on its first view
    with one threshold for all classes and rows; the views that are kept; further models and blends. Those that leave
    nothing new to choose are left out; `free` itself, the rule, comes after them."""
    single = replace(free, views=free.views[:1], several=False, steps={}, rule=Rule("", True, "max", 0))
    ways = {"single model": single}
    if len(free.views) > 1:
        ways["+ TTA"] = replace(single, views=free.views)
    if len(free.models) > 1:
        ways["+ ensemble"] = replace(single, views=free.views, several=True)
    return ways


def _ladder(search: Search, ways: dict[str, dict]) -> list[dict]:
    """The scores of ways to decide, each with what it gains over the one before and the standard error of that."""
    rows, before = [], {}
    for what, way in ways.items():
        decision = Decision(**way["decision"])
        row = {"what": what, "models": decision.models, "views": decision.views} | {
            key: way.get(key) for key in ("optimistic", "crossfitted", "interval")
        }
        if "statistics" in before:
            pair = (np.array(one["statistics"]) for one in (before, way))
            row["gain"], row["se"] = paired_gain(*pair, search.about.group.to_numpy(), search.score)
        rows.append(row)
        before = way
    return rows


def _beside_other(search: Search, submitted: dict, others: dict[str, dict], seed: int) -> dict:
    """`other`: the name and cross-fitted score of the highest of the others that decide otherwise, its gain over the
    submitted way and the standard error of that; `shake_up` of the two. None where there is none."""
    rivals = {name: one for name, one in others.items() if one["decision"] != submitted["decision"]}
    if submitted["crossfitted"] is None or not rivals:
        return {"other": None, "shake_up": None}
    name = max(rivals, key=lambda one: rivals[one]["crossfitted"])
    pair = [np.array(one["statistics"]) for one in (submitted, rivals[name])]
    groups = search.about.group.to_numpy()
    gain, error = paired_gain(*pair, groups, search.score)
    return {
        "other": {"name": name, "crossfitted": rivals[name]["crossfitted"], "gain": gain, "se": error},
        "shake_up": shake_up(*pair, groups, search.score, PUBLIC, SPLITS, seed),
    }


def outscored(said: dict) -> list[str]:
    """One line where another way to decide scores higher than the submitted one; said: of `verdict`."""
    other = said["other"]
    if other is None or other["gain"] <= 0:
        return []
    return [
        f"{other['name']} scores {other['crossfitted']:.4f}, higher than the submitted recipe with "
        f"{said['ensemble']['crossfitted']:.4f} (by {other['gain']:.4f} ± {other['se']:.4f}): a recipe is chosen step by step, "
        "by gains beyond tune.keep_gain standard errors, and need not be the highest"
    ]


def _worst(by_domain: dict[str, float]) -> dict | None:
    if len(by_domain) < 2:
        return None
    name = min(by_domain, key=by_domain.get)
    return {"name": name, "score": by_domain[name]}

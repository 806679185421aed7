"""Two scores of one way to decide: on the units it was decided on (optimistic), and on units it never saw (cross-fitted)."""

from dataclasses import asdict

import numpy as np
import pandas as pd

from tessera.decide.bootstrap import by_group, groups_of_classes, interval, resampled
from tessera.decide.decision import Decision
from tessera.decide.holdouts import holdouts
from tessera.decide.search import Freedoms, Search
from tessera.decide.steps.build import STEPS, VOLUME_STEP
from tessera.metrics.score import score_of

FEW = 10  # groups over which an interval tells little
IN_PLANE = {"ranks", "quantile", "hysteresis", "triplet", *STEPS}  # look at a row as a whole, or at its objects


def evaluate(search: Search, free: Freedoms, resamples: int, seed: int) -> dict:
    """Decides on all units and, cross-fitted, on the others of each held-out set; what scores.json says of it.

    All that `free` leaves open is decided anew for each held-out set, so that its score knows nothing of it. Of the
    interval: `left_out`, resamples that lack a class, and `groups_of_classes`, how many groups hold each.
    """
    score, about = search.score, search.about
    everything = about.index.to_numpy()
    decision, tried = search.decide(everything, free, asked=True)
    statistics = search.tables.measure(decision, everything)
    said = {
        "decision": asdict(decision),
        "optimistic": score_of(score, statistics),
        "crossfitted": None,
        "tried": [one._asdict() for one in tried],
    }
    held_out, reason = holdouts(about, seed)
    said |= {"reason": reason}
    if held_out:
        decisions = [search.decide(np.delete(everything, out), free)[0] for out in held_out]
        statistics = np.empty_like(statistics)
        for out, one in zip(held_out, decisions, strict=True):
            statistics[out] = search.tables.measure(one, out)
        said |= _crossfitted(search, held_out, decisions, statistics, resamples, seed)
    return said | {
        key: {
            str(name): score_of(score, statistics[members]) for name, members in about.groupby(column).indices.items()
        }
        for key, column in (
            ("by_fold", "fold"),
            ("by_stratum", "stratum"),
            ("by_domain", "domain"),
            ("by_group", "group"),
        )
    }


def _crossfitted(
    search: Search, held_out: list[np.ndarray], decisions: list, statistics: np.ndarray, resamples: int, seed: int
) -> dict:
    names, units, score = search.evidence.rows.row_id, search.tables.units, search.score
    groups = search.about.group.to_numpy()
    scores = resampled(statistics, groups, score, resamples, seed)
    of_folds = [score_of(score, statistics[out]) for out in held_out]
    return {
        "crossfitted": score_of(score, statistics),
        "interval": interval(scores),
        "left_out": 0 if scores is None else resamples - len(scores),
        "groups_of_classes": groups_of_classes(by_group(statistics, groups)).tolist(),
        "spread": max(of_folds) - min(of_folds),
        "holdouts": [
            {"rows": names[units.rows(out)].tolist(), "decision": asdict(one)}
            for out, one in zip(held_out, decisions, strict=True)
        ],
        "statistics": statistics.tolist(),
    }


def unmeasured(models: list[str], full_use: str) -> list[str]:
    """One line for models of which a network trained on all folds predicts the test images; full_use: of `train:`."""
    if not models:
        return []
    who = {"beside": "the networks of the folds and", "alone": "only"}[full_use]
    return [
        f"test images are predicted by {who} one trained on all folds, in {', '.join(models)}: its own score no fold measured"
    ]


def doubts(said: dict, classes: list[str]) -> list[str]:
    """What there is to know of an interval over few groups, or over few that hold a class; said: of `evaluate`."""
    if said["crossfitted"] is None:
        return []
    groups = len(said["by_group"])
    of_classes = zip(said["groups_of_classes"], classes, strict=True)
    least, rarest = min(((number, name) for number, name in of_classes if number), default=(groups, ""))
    where = f"{rarest} is in {least} of {groups} groups"
    if said["interval"] is None:
        return [f"no interval: {where}, and it takes two to know how groups differ"]
    lines = []
    if said["left_out"]:
        lines.append(f"{where}: {said['left_out']} resamples without a class are left out of the interval")
    if least < FEW:
        over = f"{groups} groups" if least == groups else f"{least} groups with {rarest}"
        lines.append(f"an interval over {over} tells little: groups that nobody has seen may well score outside it")
    return lines


def unlike_whole_rows(decision: Decision, oof: pd.DataFrame) -> list[str]:
    """One line for what of a decision looks at whole images or their objects, where OOF rows are parts of them.

    A z-block's rows are whole slices: it cuts only what reaches over slices.
    """
    if (oof["item"] == oof.image_id).all():
        return []
    in_plane = IN_PLANE if (oof[["y0", "x0"]] > 0).any(axis=None) else set()
    found = [name for name in (decision.blend, decision.cut, *decision.steps) if name in in_plane | {VOLUME_STEP}]
    if not found:
        return []
    return [
        f"{', '.join(found)}: chosen on parts of images (fold.unit part), each as if it were an image; a whole test image "
        "has another size, more objects, and none that a part cuts, of which no score tells"
    ]

"""Two scores of one way to decide: on the rows it was decided on (optimistic), and on rows it never saw (cross-fitted)."""

from dataclasses import asdict

import numpy as np
import pandas as pd

from tessera.decide.bootstrap import interval
from tessera.decide.search import Search

GROUP_PARTS = 5  # held-out sets of groups, where fewer than three folds were run


def evaluate(search: Search, candidates: np.ndarray | None, resamples: int, seed: int) -> dict:
    """Decides on all rows and, cross-fitted, on the others of each held-out set; what scores.json says of it.

    candidates: the weights (indices) to choose among, all by default.
    """
    rows = search.evidence.rows
    everything = rows.index.to_numpy()
    decision = search.decide(everything, candidates)
    optimistic = search.count(decision, everything)
    held_out, reason = holdouts(rows, seed)
    decisions = [search.decide(np.setdiff1d(everything, out), candidates) for out in held_out]
    said = {
        "decision": asdict(decision),
        "optimistic": search.score.of(optimistic),
        "crossfitted": None,
        "reason": reason,
    }
    if held_out:
        counts = np.empty_like(optimistic)
        for out, one in zip(held_out, decisions, strict=True):
            counts[out] = search.count(one, out)
        groups = rows.group.to_numpy()
        said |= {
            "crossfitted": search.score.of(counts),
            "interval": interval(counts, groups, search.score, resamples, seed),
            "holdouts": [
                {"rows": rows.row_id[out].tolist(), "decision": asdict(one)}
                for out, one in zip(held_out, decisions, strict=True)
            ],
            "counts": counts.tolist(),
        }
    shown = counts if held_out else optimistic
    return said | {
        key: {str(name): search.score.of(shown[members]) for name, members in rows.groupby(column).indices.items()}
        for key, column in (("by_fold", "fold"), ("by_stratum", "stratum"), ("by_group", "group"))
    }


def unmeasured(models: list[str], full_use: str) -> list[str]:
    """One line for models of which a network trained on all folds predicts the test images; full_use: of `train:`."""
    if not models:
        return []
    who = {"beside": "the networks of the folds and", "alone": "only"}[full_use]
    return [
        f"test images are predicted by {who} one trained on all folds, in {', '.join(models)}: its own score no fold measured"
    ]


def holdouts(rows: pd.DataFrame, seed: int) -> tuple[list[np.ndarray], str | None]:
    """The sets of rows (indices) that are held out in turn, or none and the reason.

    The folds; with fewer than three of them, sets of groups.
    """
    by = rows.fold if rows.fold.nunique() >= 3 else _group_parts(rows.group, seed)
    if by is None:
        return [], f"{rows.group.nunique()} group(s): cross-fitting needs three"
    return [np.flatnonzero(by == name) for name in sorted(set(by))], None


def _group_parts(groups: pd.Series, seed: int) -> pd.Series | None:
    names = np.random.default_rng(seed).permutation(sorted(set(groups)))
    if len(names) < 3:
        return None
    return groups.map({name: number % GROUP_PARTS for number, name in enumerate(names)})

"""Which views and thresholds are offered, and how the score depends on thresholds."""

import numpy as np
import pandas as pd

from tessera.decide.decision import EVERYWHERE, Decision
from tessera.decide.search import Search
from tessera.decide.tables import THRESHOLDS, Mix, Tables

COLUMNS = {"per_stratum": "stratum", "per_domain": "domain"}  # of the rows, whose values have levels of their own


def offer_strata(wanted: str, oof: pd.DataFrame, test: pd.DataFrame) -> tuple[str, list[str]]:
    """The column ("" for none) by whose values levels may differ, and what to tell the person of rows without such a value.

    A test row of a value that OOF does not have is cut at the common levels ("*"); if all are such, none are offered.
    """
    by = COLUMNS.get(wanted, "")
    named = set(oof[by]) - {""} if by else set()
    lacking = test[~test[by].isin(named)] if by else test[:0]
    if lacking.empty:
        return by, []
    said = f"{len(lacking)} of {len(test)} test rows have no known {by} (the first is {lacking.row_id.iloc[0]})"
    if len(lacking) == len(test):
        return "", [f"levels per {by} are not offered: {said}; each class has the same level in all rows"]
    note = f"{said}: they are cut at the levels common to all"
    if "" in set(oof[by]) & set(lacking[by]):  # which is a value like others to those who fit levels
        note += f" or, where they have no {by} at all, at those of the out-of-fold rows without one"
    return by, [note]


def offer_views(views: list[str], stored: list[str]) -> list[str]:
    """What to tell the person where views cannot be chosen, as they were merged when they were stored."""
    if len(views) == len(stored):
        return []
    return [f"views are not chosen: of {', '.join(views)} only the mean is stored (predict.store merged)"]


def score_curves(search: Search, decision: Decision) -> dict[str, list[list[float]]]:
    """Each class's score at every threshold 1…255 with the decision's weights, over all units ("*") and by stratum: lists
    (C, 255), before all steps. A score that needs masks is measured at some thresholds, linear between them."""
    tables, strata = search.tables, search.about.stratum.to_numpy()
    if tables.cut != "threshold":
        tables = Tables(search.evidence, search.score, "threshold")
    mix = Mix(tuple(decision.views), decision.blend, tuple(decision.weights.values()))
    levels, statistics = tables.table(mix, search.about.index.to_numpy(), tables.levels)
    members = {EVERYWHERE: np.full(len(strata), True)} | {name: strata == name for name in sorted(set(strata) - {""})}
    return {
        name: [np.interp(THRESHOLDS, levels, curve).tolist() for curve in search.score.finish(statistics[where].sum(0))]
        for name, where in members.items()
    }

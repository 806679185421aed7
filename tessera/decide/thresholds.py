"""Which views and thresholds are offered, and how the score depends on thresholds."""

import numpy as np
import pandas as pd

from tessera.decide.decision import EVERYWHERE, Decision
from tessera.decide.search import Search
from tessera.decide.tables import THRESHOLDS, Mix, Tables

COLUMNS = {"per_stratum": "stratum", "per_domain": "domain"}  # of the rows, whose values have levels of their own


def offer_strata(wanted: str, oof: pd.DataFrame, test: pd.DataFrame) -> tuple[str, list[str]]:
    """The column ("" for none) by whose values levels may differ, and what to tell the person if they wanted one in vain.

    Every test row needs a value, one that OOF has as well: others could get no level.
    """
    by = COLUMNS.get(wanted, "")
    if not by:
        return "", []
    lacking = test[~test[by].isin(set(oof[by]) - {""})]
    if len(lacking):
        return "", [
            f"thresholds per {by} are not offered: {len(lacking)} of {len(test)} test rows have no known {by} "
            f"(the first is {lacking.row_id.iloc[0]}); one threshold is used for all"
        ]
    return by, []


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

"""Which thresholds are offered, and how the score depends on them."""

import numpy as np
import pandas as pd

from tessera.decide.decision import EVERYWHERE
from tessera.decide.histograms import counts_by_threshold
from tessera.decide.search import Search

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


def score_curves(search: Search, decision: dict) -> dict[str, list[list[float]]]:
    """Each class's score at every threshold 1…255 with the decision's weights, over all rows ("*") and by stratum: lists
    (C, 255), before `min_area`."""
    weights = np.array([decision["weights"][model] for model in search.evidence.models])
    w = int(np.argmin(np.abs(search.weights - weights).sum(1)))
    counts = counts_by_threshold(search.histograms[w])  # (rows, C, 255, 3)
    strata = search.evidence.rows.stratum.to_numpy()
    members = {EVERYWHERE: np.full(len(strata), True)} | {name: strata == name for name in sorted(set(strata) - {""})}
    statistics = search.score.statistics(counts)
    return {name: search.score.finish(statistics[where].sum(0)).tolist() for name, where in members.items()}

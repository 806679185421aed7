"""Which thresholds are offered, and how the score depends on them."""

import numpy as np
import pandas as pd

from tessera.decide.decision import EVERYWHERE
from tessera.decide.histograms import counts_by_threshold
from tessera.decide.search import Search


def offer_strata(wanted: str, oof: pd.DataFrame, test: pd.DataFrame) -> tuple[bool, list[str]]:
    """Whether thresholds may differ by stratum, and what to tell the person if they wanted that in vain.

    Every test row needs a stratum, one that OOF has as well: others could get no threshold.
    """
    if wanted != "per_stratum":
        return False, []
    lacking = test[~test.stratum.isin(set(oof.stratum) - {""})]
    if len(lacking):
        return False, [
            f"thresholds per stratum are not offered: {len(lacking)} of {len(test)} test rows have no known stratum "
            f"(the first is {lacking.row_id.iloc[0]}); one threshold is used for all"
        ]
    return True, []


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

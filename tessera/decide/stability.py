"""How far folds agree on the levels of a decision, and what it costs them to share one."""

import numpy as np

from tessera.decide.decision import EVERYWHERE, Decision
from tessera.decide.holdouts import holdouts
from tessera.decide.levels import Rule, Table, at_levels, choose_levels
from tessera.decide.search import Search
from tessera.decide.tables import Mix
from tessera.metrics.score import score_of


def stability(search: Search, decision: Decision, one: bool, seed: int) -> dict[str, dict]:
    """By stratum, domain or "*": `per_fold`, the levels (one a class) that are best on the units of one held-out set
    alone, None where it has none; `spread`, the largest minus the smallest of them, a class (None: levels are not
    numbers); `loss`, what the decision's own levels score less there, mean over the sets. Before steps.

    one: all classes share a level.
    """
    mix = Mix(tuple(decision.views), decision.blend, tuple(decision.weights.values()))
    about, everything = search.about, search.about.index.to_numpy()
    levels = search.tables.levels
    levels = levels + [level for own in decision.levels.values() for level in own if level not in levels]
    table = search.tables.table(mix, everything, levels)
    names = about[decision.by].to_numpy() if decision.by else np.full(len(about), EVERYWHERE)
    found = {}
    for name in sorted(set(names)):
        pooled = {EVERYWHERE: np.array([table.levels.index(level) for level in decision.levels_of(name)])}
        own = [_own(search, table, out[names[out] == name], pooled, one, seed) for out in holdouts(about, seed)[0]]
        per_fold = [levels for levels, _ in own]
        there = [levels for levels in per_fold if levels]
        numbers = there and not isinstance(table.levels[0], list)
        found[name] = {
            "per_fold": per_fold,
            "spread": np.ptp(there, axis=0).tolist() if numbers else None,
            "loss": float(np.mean([loss for levels, loss in own if levels])) if there else None,
        }
    return found


def _own(
    search: Search, table: Table, units: np.ndarray, pooled: dict[str, np.ndarray], one: bool, seed: int
) -> tuple[list | None, float]:
    """The best levels of units, and by how much they score better there than the pooled ones."""
    if not len(units):
        return None, 0.0
    there, about = Table(table.levels, table.statistics[units]), search.about.loc[units]
    best = choose_levels(there, about, Rule("", one, "max", 0), search.score.finish, seed)
    everywhere = np.full(len(units), EVERYWHERE)
    scores = [score_of(search.score, at_levels(there.statistics, levels, everywhere)) for levels in (best, pooled)]
    return [table.levels[index] for index in best[EVERYWHERE]], scores[0] - scores[1]

"""Which level of a cut is taken, given statistics of units at many levels.

Levels are numbers or, for cuts that take several, lists of numbers. Statistics (..., J, K): J classes that share a level
and are judged by their mean.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from tessera.decide.bootstrap import left_out_error
from tessera.decide.decision import EVERYWHERE
from tessera.decide.holdouts import inner_holdouts

Judge = Callable[[np.ndarray], np.ndarray]  # summed statistics (..., J, K) → scores (...)


class Table(NamedTuple):
    """levels: L of them. statistics: (units, C, L, K)."""

    levels: list
    statistics: np.ndarray


@dataclass(frozen=True)
class Rule:
    """by: the column whose values have levels of their own, "" for none. one: all classes share a level. name: max |
    plateau | mean_of_folds. shrink: groups at which a value's own level and the common one weigh alike."""

    by: str
    one: bool
    name: str
    shrink: float

    def names(self, about: pd.DataFrame) -> np.ndarray:
        """What tells which level a unit has."""
        return about[self.by].to_numpy() if self.by else np.full(len(about), EVERYWHERE)

    def shared(self, statistics: np.ndarray) -> np.ndarray:
        """Statistics (units, C, L, K) → (units, A, L, J, K): A classes or sets of classes with levels of their own."""
        return statistics.swapaxes(1, 2)[:, None] if self.one else statistics[:, :, :, None]


def choose_levels(table: Table, about: pd.DataFrame, rule: Rule, finish: Judge, seed: int) -> dict[str, np.ndarray]:
    """Indices (C,) into the table's levels by name, and "*" for units of other names.

    about: of the table's units. The best, as `best_levels` finds them; or the middle of the plateau that holds the best:
    all levels within one standard error, over groups, of it (Breiman et al. 1984, the rule of one standard error); or the
    mean of what is best on each fold on which not all levels score alike. Then shrunk: (n·own + shrink·common) /
    (n + shrink), n groups of the name.

    Levels of several numbers have no order, and near a good one may lie a bad one: the plateau is all within the standard
    error, of which that nearest to their mean, or to the mean of folds, is taken; and the shrunk level is the nearest of
    those that score no less than the common one.
    """

    def judge(statistics: np.ndarray) -> np.ndarray:
        return finish(statistics).mean(-1)

    shared, names = rule.shared(table.statistics), rule.names(about)
    chosen = _best(shared, names, judge)
    if rule.name != "max":
        within = _within(shared, chosen, names, about.group.to_numpy(), judge)
    if rule.name == "plateau":
        chosen = _plateaus(table.levels, chosen, within)
    if rule.name == "mean_of_folds":
        of_folds = _of_folds(shared, names, inner_holdouts(about, seed), judge)
        chosen = _means(table.levels, chosen, within, of_folds)
    if rule.shrink:
        groups = about.group.groupby(names).nunique().to_dict()
        chosen = _shrunk(table.levels, chosen, groups, rule.shrink, _curves(shared, chosen, names, judge))
    classes = table.statistics.shape[1]
    return {name: np.broadcast_to(own, classes) for name, own in chosen.items()}


def at_levels(statistics: np.ndarray, chosen: dict[str, np.ndarray], names: np.ndarray) -> np.ndarray:
    """Statistics (units, C, L, K) → (units, C, K) at each unit's own level."""
    index = np.stack([chosen.get(name, chosen[EVERYWHERE]) for name in names])
    return np.take_along_axis(statistics, index[..., None, None], 2)[:, :, 0]


def best_levels(statistics: np.ndarray, judge: Judge) -> np.ndarray:
    """The indices (..., S) of levels, one a stratum, that together score best.

    statistics: (..., S, L, J, K), summed over each stratum's units. Coordinate ascent from the best common level: never
    below it, and exact where the score is a mean of units. Of equally good levels the middle one is taken.
    """
    strata = statistics.shape[-4]
    common = _middle_of_best(judge(statistics.sum(-4)))
    chosen = np.repeat(common[..., None], strata, -1)
    while strata > 1:
        before = chosen.copy()
        picked = np.take_along_axis(statistics, chosen[..., None, None, None], -3)[..., 0, :, :]  # (..., S, J, K)
        for s in range(strata):
            rest = picked.sum(-3) - picked[..., s, :, :]
            curve = judge(rest[..., None, :, :] + statistics[..., s, :, :, :])
            now = np.take_along_axis(curve, chosen[..., s, None], -1)[..., 0]
            better = curve.max(-1) > now + 1e-12
            chosen[..., s] = np.where(better, _middle_of_best(curve), chosen[..., s])
            level = chosen[..., s, None, None, None]
            picked[..., s, :, :] = np.take_along_axis(statistics[..., s, :, :, :], level, -3)[..., 0, :, :]
        if (chosen == before).all():
            break
    return chosen


def _middle_of_best(curve: np.ndarray) -> np.ndarray:
    best = curve >= curve.max(-1, keepdims=True) - 1e-12
    number = best.cumsum(-1)
    return (number > number[..., -1:] // 2).argmax(-1)


def _best(shared: np.ndarray, names: np.ndarray, judge: Judge) -> dict[str, np.ndarray]:
    """Indices (A,) by name, and "*"; shared: (units, A, L, J, K)."""
    own = sorted(set(map(str, names)))
    by_name = np.stack([shared[names == name].sum(0) for name in own], 1)  # (A, S, L, J, K)
    found = dict(zip(own, best_levels(by_name, judge).T, strict=True))
    return found | {EVERYWHERE: _middle_of_best(judge(by_name.sum(1)))}


def _plateaus(levels: list, chosen: dict[str, np.ndarray], within: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The middle of each plateau; within: (A, L) by name."""
    found = {}
    for name, own in chosen.items():
        pairs = zip(own, within[name], strict=True)
        found[name] = np.array([nearest(levels, _plateau(levels, good, best), among=good) for best, good in pairs])
    return found


def _means(
    levels: list, chosen: dict[str, np.ndarray], within: dict[str, np.ndarray], of_folds: list[dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """The means of what is best on folds; where none counts, what is chosen."""
    found = {}
    for name, own in chosen.items():
        counted = [[one[name][a] for one in of_folds if name in one and one[name][a] >= 0] for a in range(len(own))]
        found[name] = np.array(
            [
                nearest(levels, indices or [best], among=good)
                for indices, best, good in zip(counted, own, within[name], strict=True)
            ]
        )
    return found


def _shrunk(
    levels: list, chosen: dict[str, np.ndarray], groups: dict[str, int], shrink: float, curves: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Between what is chosen and the common level; curves: (A, L) by name."""
    common, found = chosen[EVERYWHERE], {}
    for name, own in chosen.items():
        among = curves[name] >= np.take_along_axis(curves[name], common[:, None], 1) - 1e-12
        found[name] = nearest(levels, [own, common], [groups.get(name, 1), shrink], among)
    return found


def _of_folds(
    shared: np.ndarray, names: np.ndarray, folds: list[np.ndarray], judge: Judge
) -> list[dict[str, np.ndarray]]:
    """Of each fold, by name, what is best there (A,), -1 where all levels score alike."""
    found = []
    for fold in folds:
        best = _best(shared[fold], names[fold], judge)
        curves = _curves(shared[fold], best, names[fold], judge)
        found.append({name: np.where(np.ptp(curves[name], -1) > 1e-12, own, -1) for name, own in best.items()})
    return found


def _curves(
    shared: np.ndarray, chosen: dict[str, np.ndarray], names: np.ndarray, judge: Judge
) -> dict[str, np.ndarray]:
    """By name the scores (A, L) at each of its levels, those of other names as chosen."""
    rests = _rests(shared, chosen, names)
    return {name: judge(rests[name][:, None] + shared[_of(names, name)].sum(0)) for name in chosen}


def _rests(shared: np.ndarray, chosen: dict[str, np.ndarray], names: np.ndarray) -> dict[str, np.ndarray]:
    """By name the statistics (A, J, K) of all units of other names, as chosen."""
    picked = at_levels(shared.reshape(*shared.shape[:3], -1), chosen, names)
    picked = picked.reshape(*shared.shape[:2], *shared.shape[3:])
    return {name: picked[~_of(names, name)].sum(0) for name in chosen}


def _of(names: np.ndarray, name: str) -> np.ndarray:
    """Which units have the name."""
    return names == name if name != EVERYWHERE else np.full(len(names), True)


def _within(
    shared: np.ndarray, chosen: dict[str, np.ndarray], names: np.ndarray, groups: np.ndarray, judge: Judge
) -> dict[str, np.ndarray]:
    """By name which levels (A, L) score no less than a standard error below the chosen ones."""
    rests, curves = _rests(shared, chosen, names), _curves(shared, chosen, names, judge)
    found = {}
    for name, own in chosen.items():
        members, of_classes = _of(names, name), np.arange(len(own))
        errors = [
            left_out_error(shared[members, a, own[a]], groups[members], partial(_with, judge, rests[name][a]))
            for a in of_classes
        ]
        found[name] = curves[name] >= (curves[name][of_classes, own] - errors)[:, None]
    return found


def _with(judge: Judge, rest: np.ndarray, total: np.ndarray) -> np.ndarray:
    return judge(rest + total)


def _plateau(levels: list, within: np.ndarray, best: int) -> np.ndarray | list[int]:
    """All levels within; of numbers, the first and the last of those that hang together with the best."""
    if isinstance(levels[0], list):
        return np.flatnonzero(within)
    without = np.flatnonzero(~within)
    return [without[without < best].max(initial=-1) + 1, without[without > best].min(initial=len(within)) - 1]


def nearest(
    levels: list, indices: list | np.ndarray, weights: list[float] | None = None, among: np.ndarray | None = None
) -> np.ndarray:
    """The index of the level nearest to the mean of those of `indices` (n, ...), over the first axis: (...).

    among: which lists (..., L) may be taken; numbers, which have an order, all may. Areas, which span decades, count by
    their logarithms.
    """
    values = np.array(levels, np.float64).reshape(len(levels), -1)
    areas = values.max(0) > 255
    values[:, areas] = np.log(values[:, areas])
    mean = np.average(values[np.asarray(indices)], axis=0, weights=weights)
    width = np.maximum(np.ptp(values, axis=0), 1e-12)
    distance = (((mean[..., None, :] - values) / width) ** 2).sum(-1)
    bounded = among is not None and isinstance(levels[0], list)
    return (np.where(among, distance, np.inf) if bounded else distance).argmin(-1)

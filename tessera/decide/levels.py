"""Which level of a cut is taken, given statistics of units at many levels.

Levels are numbers or, for cuts that take several, lists of numbers. Statistics (..., J, K): J classes that share a level
and are judged by their mean.
"""

from collections.abc import Callable
from dataclasses import dataclass
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
    mean of what is best on each fold. Then shrunk: (n·own + shrink·common) / (n + shrink), n groups of the name.
    """

    def judge(statistics: np.ndarray) -> np.ndarray:
        return finish(statistics).mean(-1)

    shared, names = rule.shared(table.statistics), rule.names(about)
    chosen = _best(shared, names, judge)
    if rule.name == "plateau":
        chosen = _plateaus(table.levels, shared, chosen, names, about.group.to_numpy(), judge)
    if rule.name == "mean_of_folds":
        of_folds = [_best(shared[fold], names[fold], judge) for fold in inner_holdouts(about, seed)]
        chosen = {
            name: nearest(table.levels, [one[name] for one in of_folds if name in one] or [own])
            for name, own in chosen.items()
        }
    if rule.shrink:
        groups = about.group.groupby(names).nunique()
        chosen = {
            name: nearest(table.levels, [own, chosen[EVERYWHERE]], [groups.get(name, 1), rule.shrink])
            for name, own in chosen.items()
        }
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


def _plateaus(
    levels: list, shared: np.ndarray, chosen: dict[str, np.ndarray], names: np.ndarray, groups: np.ndarray, judge: Judge
) -> dict[str, np.ndarray]:
    picked = at_levels(shared.reshape(*shared.shape[:3], -1), chosen, names).reshape(
        *shared.shape[:2], *shared.shape[3:]
    )
    found = {}
    for name, own in chosen.items():
        members = names == name if name != EVERYWHERE else np.full(len(names), True)
        rest = picked[~members].sum(0)  # (A, J, K)
        found[name] = np.array(
            [
                nearest(
                    levels,
                    _plateau(shared[members, a], groups[members], rest[a], best, judge, isinstance(levels[0], list)),
                )
                for a, best in enumerate(own)
            ]
        )
    return found


def _plateau(
    statistics: np.ndarray, groups: np.ndarray, rest: np.ndarray, best: int, judge: Judge, unordered: bool
) -> np.ndarray:
    """Indices of the levels no worse than a standard error below the best; of ordered ones those that hang together with it.

    statistics: (units, L, J, K); rest: (J, K), summed over all other units.
    """
    curve = judge(rest + statistics.sum(0))
    error = left_out_error(statistics[:, best], groups, lambda total: judge(rest + total))
    within = curve >= curve[best] - error
    if unordered:
        return np.flatnonzero(within)
    ends = np.flatnonzero(~within)
    before, after = ends[ends < best], ends[ends > best]
    return np.arange(before.max(initial=-1) + 1, after.min(initial=len(curve)))


def nearest(levels: list, indices: list | np.ndarray, weights: list[float] | None = None) -> np.ndarray:
    """The index of the level nearest to the mean of those of `indices` (n, ...), over the first axis: (...)."""
    values = np.array(levels, np.float64).reshape(len(levels), -1)
    mean = np.average(values[np.asarray(indices)], axis=0, weights=weights)
    width = np.maximum(np.ptp(values, axis=0), 1e-12)
    return (((mean[..., None, :] - values) / width) ** 2).sum(-1).argmin(-1)

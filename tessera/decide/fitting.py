"""The best weights and levels of given views, models and blend, on given units."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tessera.decide.decision import Decision
from tessera.decide.evidence import Evidence
from tessera.decide.grids import ROUNDS, finer
from tessera.decide.holdouts import crossfit, inner_holdouts
from tessera.decide.levels import Rule, Table, at_levels, choose_levels
from tessera.decide.tables import Mix, Tables
from tessera.decide.weights import Combinations, simplex
from tessera.metrics.score import Score, score_of

SHORT, LONG = 2, 24  # combinations that are scored exactly: at a time, and at most


class Option(NamedTuple):
    """What weights and levels are fitted to. models: those that may weigh."""

    views: tuple[str, ...]
    blend: str
    models: tuple[str, ...]


class Fitted(NamedTuple):
    """levels: name or "*" → a level a class. score: on the units that it was fitted to."""

    mix: Mix
    levels: dict[str, list]
    score: float


class Fitting:
    """Fits options to units; what was read is kept."""

    def __init__(self, evidence: Evidence, score: Score, cut: str, step: float, seed: int):
        self.tables, self.score, self.seed = Tables(evidence, score, cut), score, seed
        self.about = self.tables.units.about
        self.weights = simplex(len(evidence.models), step)
        self._combinations: dict[tuple, Combinations] = {}
        self._fitted: dict[tuple, Fitted] = {}
        self._crossfitted: dict[tuple, np.ndarray] = {}

    def fit(self, option: Option, units: np.ndarray, rule: Rule, rounds: int = ROUNDS) -> Fitted:
        """The weights and levels that score best on units (numbers); of equals the first. rounds: of finer levels, where they
        are not exact."""
        rounds = 0 if self.tables.exact else rounds  # then a fit serves whoever asks for it
        key = option, units.tobytes(), rule, rounds
        if key not in self._fitted:
            self._fitted[key] = self._fit(option, units, rule, rounds)
        return self._fitted[key]

    def crossfit(self, option: Option, units: np.ndarray, rule: Rule) -> np.ndarray:
        """Statistics (units, C, K), each unit's by a fit to those that were not held out with it.

        They tell one option from another, for which the grid's levels do: finer ones would take most of a search's time.
        """
        key = option, units.tobytes(), rule
        if key not in self._crossfitted:
            sets = inner_holdouts(self.about.loc[units], self.seed)
            first = [self._ranked(option, np.delete(units, out), rule)[:SHORT] for out in sets]
            self.tables.read([mix for some in first for mix, _ in some], self.tables.levels)  # all in one pass
            self._crossfitted[key] = crossfit(
                units, sets, lambda others, out: self.statistics(self.fit(option, others, rule, rounds=0), out, rule)
            )
        return self._crossfitted[key]

    def statistics(self, fitted: Fitted, units: np.ndarray, rule: Rule) -> np.ndarray:
        """Statistics (units, C, K) of units (numbers) under a fit, before all steps."""
        every = [level for own in fitted.levels.values() for level in own]
        table = self.tables.table(fitted.mix, units, [level for n, level in enumerate(every) if level not in every[:n]])
        chosen = {
            name: np.array([table.levels.index(level) for level in levels]) for name, levels in fitted.levels.items()
        }
        return at_levels(table.statistics, chosen, rule.names(self.about.loc[units]))

    def decision(self, fitted: Fitted, rule: Rule) -> Decision:
        """The decision of a fit, without steps."""
        return self.tables.decision(fitted.mix, fitted.levels, rule.by, {})

    @property
    def nbytes(self) -> int:
        """Bytes of what is kept."""
        return self.tables.nbytes + sum(one.statistics.nbytes for one in self._combinations.values())

    def _fit(self, option: Option, units: np.ndarray, rule: Rule, rounds: int) -> Fitted:
        """The first combinations of the coarse ranking, some at a time, for as long as one that follows may be better: if its
        coarse score is wrong by twice as much as any was so far."""
        ranked = self._ranked(option, units, rule)
        comparable = self.tables.exact and rule.name == "max" and not rule.shrink
        fits: list[Fitted] = []
        best, doubt = -np.inf, 0.0
        for start in range(0, min(len(ranked), LONG), SHORT):
            some = ranked[start : start + SHORT]
            if fits and not (comparable and some[0][1] + doubt > best):
                break
            self.tables.read([mix for mix, _ in some], self.tables.levels)
            fits += [self._fit_levels(mix, units, rule, rounds) for mix, _ in some]
            best = max(fitted.score for fitted in fits)
            doubt = 2 * max(abs(fitted.score - coarse) for fitted, (_, coarse) in zip(fits, ranked, strict=False))
        return max(fits, key=lambda fitted: fitted.score)

    def _ranked(self, option: Option, units: np.ndarray, rule: Rule) -> list[tuple[Mix, float]]:
        """The combinations of an option's models, best first, with their coarse scores."""
        models = np.isin(self.tables.evidence.models, option.models)
        allowed = np.flatnonzero(self.weights[:, ~models].sum(1) == 0)
        scores = np.zeros(1)
        if len(allowed) > 1:
            scores = self._of(option).scores(units, self.about.loc[units], rule, allowed)
        return [
            (Mix(option.views, option.blend, tuple(map(float, self.weights[allowed[n]]))), float(scores[n]))
            for n in np.argsort(-scores, kind="stable")
        ]

    def _of(self, option: Option) -> Combinations:
        key = option.views, option.blend
        if key not in self._combinations:
            self._combinations[key] = Combinations(self.tables, self.weights, *key)
        return self._combinations[key]

    def _fit_levels(self, mix: Mix, units: np.ndarray, rule: Rule, rounds: int) -> Fitted:
        """Levels are refined about those that the rule takes, and about the best, below which it must not fall far."""
        about = self.about.loc[units]

        def choose(table: Table, by: Rule) -> dict[str, np.ndarray]:
            return choose_levels(table, about, by, self.score.finish, self.seed)

        table = self.tables.table(mix, units, self.tables.levels)
        rules = {rule, replace(rule, name="max", shrink=0.0)}
        for number in range(rounds):
            found = {index for one in rules for own in choose(table, one).values() for index in own.tolist()}
            around = [table.levels[index] for index in sorted(found)]
            levels = finer(self.tables.cut, self.tables.levels, table.levels, around, number)
            table = self.tables.table(mix, units, levels)
        chosen = choose(table, rule)
        score = score_of(self.score, at_levels(table.statistics, chosen, rule.names(about)))
        return Fitted(mix, {name: [table.levels[one] for one in own] for name, own in chosen.items()}, score)

"""The best weights and levels of given views, models and blend, on given units."""

from typing import NamedTuple

import numpy as np

from tessera.decide.decision import Decision
from tessera.decide.evidence import Evidence
from tessera.decide.grids import COARSE, ROUNDS, finer
from tessera.decide.holdouts import crossfit, holdouts
from tessera.decide.levels import Rule, at_levels, choose_levels
from tessera.decide.tables import Mix, Tables
from tessera.decide.weights import Combinations, simplex
from tessera.metrics.score import Score, score_of


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

    def fit(self, option: Option, units: np.ndarray, rule: Rule) -> Fitted:
        """The weights and levels that score best on units (numbers); of equals the first."""
        key = option, units.tobytes(), rule
        if key not in self._fitted:
            mixes = self._mixes(option, units, rule)
            self.tables.read(mixes, COARSE[self.tables.cut])
            fits = [self._fit_levels(mix, units, rule) for mix in mixes]
            self._fitted[key] = max(fits, key=lambda fitted: fitted.score)
        return self._fitted[key]

    def crossfit(self, option: Option, units: np.ndarray, rule: Rule) -> np.ndarray:
        """Statistics (units, C, K), each unit's by a fit to those that were not held out with it."""
        key = option, units.tobytes(), rule
        if key not in self._crossfitted:
            sets, _ = holdouts(self.about.loc[units], self.seed)
            mixes = [mix for out in sets for mix in self._mixes(option, np.delete(units, out), rule)]
            self.tables.read(mixes, COARSE[self.tables.cut])  # all in one pass
            self._crossfitted[key] = crossfit(
                units, sets, lambda others, out: self.statistics(self.fit(option, others, rule), out, rule)
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

    def _mixes(self, option: Option, units: np.ndarray, rule: Rule) -> list[Mix]:
        """Those worth an exact look."""
        models = np.isin(self.tables.evidence.models, option.models)
        allowed = np.flatnonzero(self.weights[:, ~models].sum(1) == 0)
        if len(allowed) > 1:
            about = self.about.loc[units]
            allowed = self._of(option).shortlist(units, about, rule, allowed)
        return [Mix(option.views, option.blend, tuple(map(float, self.weights[number]))) for number in allowed]

    def _of(self, option: Option) -> Combinations:
        key = option.views, option.blend
        if key not in self._combinations:
            self._combinations[key] = Combinations(self.tables, self.weights, *key)
        return self._combinations[key]

    def _fit_levels(self, mix: Mix, units: np.ndarray, rule: Rule) -> Fitted:
        about, cut = self.about.loc[units], self.tables.cut
        table = self.tables.table(mix, units, COARSE[cut])
        chosen = choose_levels(table, about, rule, self.score.finish, self.seed)
        for number in range(0 if self.tables.exact else ROUNDS):
            around = [table.levels[index] for index in sorted({int(one) for own in chosen.values() for one in own})]
            table = self.tables.table(mix, units, finer(cut, table.levels, around, number))
            chosen = choose_levels(table, about, rule, self.score.finish, self.seed)
        score = score_of(self.score, at_levels(table.statistics, chosen, rule.names(about)))
        return Fitted(mix, {name: [table.levels[one] for one in own] for name, own in chosen.items()}, score)

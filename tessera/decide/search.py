"""Decides on units: which views, models, blend and steps are kept, with their weights and levels."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tessera.decide.bootstrap import paired_gain
from tessera.decide.choose import Names, Tried, forward
from tessera.decide.decision import Decision
from tessera.decide.evidence import Evidence
from tessera.decide.fitting import Fitting, Option
from tessera.decide.holdouts import holdouts
from tessera.decide.levels import Rule
from tessera.metrics.score import Score, score_of


@dataclass(frozen=True)
class Freedoms:
    """What may be chosen. views, blends: the first one is the base that the others must better. steps: step → its
    candidate values, off is always one. keep_gain: standard errors that what is kept must gain."""

    views: Names
    models: Names
    blends: Names
    steps: dict[str, list]
    rule: Rule
    keep_gain: float


class Search:
    """Decides on subsets of the units of `evidence`."""

    def __init__(self, evidence: Evidence, score: Score, cut: str, step: float, seed: int):
        self.evidence, self.score, self.seed = evidence, score, seed
        self.fitting = Fitting(evidence, score, cut, step, seed)
        self.tables, self.about = self.fitting.tables, self.fitting.about

    def decide(self, units: np.ndarray, free: Freedoms, asked: bool = False) -> tuple[Decision, list[Tried]]:
        """The decision on `units` (numbers), of which alone it depends, and what was tried for it.

        From the best single model on the first view, `forward` through the views, the models, the blends and, with weights
        and levels fitted, the steps. With too few units to hold any out nothing is added. asked: `Tried.alone` is wanted.
        """
        first = [Option(free.views[:1], free.blends[0], (model,)) for model in free.models]
        option = max(first, key=lambda one: self.fitting.fit(one, units, free.rule).score)
        if not self.held_out(units):
            return self.fitting.decision(self.fitting.fit(option, units, free.rule), free.rule), []
        tried: list[Tried] = []
        for kind, names, adding, alone in (
            ("view", free.views[1:], _add_views, _only_views),
            ("model", tuple(one for one in free.models if one not in option.models), _add_models, _only_models),
            ("blend", free.blends[1:], _take_blend, _take_blend),
        ):
            kept, found = forward(
                kind,
                names,
                self._crossfitted(option, adding, units, free.rule),
                self._gain(units),
                self._alone(option, alone, units, free.rule) if asked else None,
                free.keep_gain,
            )
            option, tried = adding(option, kept), tried + found
        decision = self.fitting.decision(self.fitting.fit(option, units, free.rule), free.rule)
        decision, found = self._with_steps(decision, units, free, asked)
        return decision, tried + found

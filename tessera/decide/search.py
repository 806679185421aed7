"""Searches the decision that scores best on a set of units: views, models and their weights, levels, steps."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from tessera.decide.bootstrap import paired_gain
from tessera.decide.choose import Names, Tried, forward
from tessera.decide.decision import Decision
from tessera.decide.evidence import Evidence
from tessera.decide.fitting import Fitted, Fitting, Option
from tessera.decide.holdouts import holdouts
from tessera.decide.levels import Rule
from tessera.metrics.score import Score, score_of


@dataclass(frozen=True)
class Freedoms:
    """What may be chosen. views, models, blends: the first view and blend are the base that others must better. steps:
    step → its candidate values, off is always one. keep_gain: standard errors that what is kept must gain."""

    views: Names
    models: Names
    blends: Names
    steps: dict[str, list]
    rule: Rule
    keep_gain: float


class Search:
    """Decides on subsets of the units of `evidence`; what it has read of the pixels it keeps."""

    def __init__(self, evidence: Evidence, score: Score, cut: str, step: float, seed: int):
        self.fitting = Fitting(evidence, score, cut, step, seed)
        self.evidence, self.score, self.seed = evidence, score, seed
        self.tables, self.about = self.fitting.tables, self.fitting.tables.units.about

    def decide(self, units: np.ndarray, free: Freedoms, asked: bool = False) -> tuple[Decision, list[Tried]]:
        """The decision on `units` (numbers), and what was tried; asked: with what each view and model does alone.

        Nothing but these units is looked at. With too few of them to hold any out, only the base is there: the best
        single model, on the first view, without steps.
        """
        option = self._base(units, free)
        tried = []
        if holdouts(self.about.loc[units], self.seed)[0]:
            for kind, names, adding in _choices(free, option):
                ...
        fitted = self.fitting.fit(option, units, free.rule)

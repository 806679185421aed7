"""Decides on units: which views, models, blend and steps are kept, with their weights, levels and values."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from tessera.decide.bootstrap import paired_gain
from tessera.decide.choose import Names, Tried, forward
from tessera.decide.decision import Decision
from tessera.decide.evidence import Evidence
from tessera.decide.fitting import Fitting, Option
from tessera.decide.holdouts import crossfit, inner_holdouts
from tessera.decide.levels import Rule
from tessera.metrics.score import Score, score_of


@dataclass(frozen=True)
class Freedoms:
    """What may be chosen. views, blends: the first one is the base that others must better. steps: step → its candidate
    values, off is always one. keep_gain: standard errors that what is kept must gain."""

    views: Names
    models: Names
    blends: Names
    steps: dict[str, list]
    rule: Rule
    keep_gain: float
    several: bool = True


class Search:
    """Decides on subsets of the units of `evidence`."""

    def __init__(self, evidence: Evidence, score: Score, cut: str, step: float, seed: int):
        self.evidence, self.score, self.seed = evidence, score, seed
        self.fitting = Fitting(evidence, score, cut, step, seed)
        self.tables, self.about = self.fitting.tables, self.fitting.about

    def decide(self, units: np.ndarray, free: Freedoms, asked: bool = False) -> tuple[Decision, list[Tried]]:
        """The decision on `units` (numbers), of which alone it depends, and what was tried for it.

        From the best single model on the first view, `forward` through views, models, blends and steps; where views were
        added, the first one may go. With too few units to hold any out, nothing is added. asked: `Tried.alone` is wanted.
        """
        keep = partial(self._keep, units=units, free=free, asked=asked)
        option, tried = self._base(units, free), []
        sets = inner_holdouts(self.about.loc[units], self.seed)
        if sets:
            option, tried = self._option(option, units, free, keep)
        decision = self.fitting.decision(self.fitting.fit(option, units, free.rule), free.rule)
        if sets:
            kept, found = keep(
                "step", tuple(free.steps), partial(self._crossfit_steps, decision, free.steps, units, sets)
            )
            decision, tried = self._with_steps(decision, free.steps, kept, units), tried + found
        return decision, tried

    def _base(self, units: np.ndarray, free: Freedoms) -> Option:
        singles = [Option(free.views[:1], free.blends[0], (model,)) for model in free.models]
        return max(singles, key=lambda one: self.fitting.fit(one, units, free.rule).score)

    def _option(self, base: Option, units: np.ndarray, free: Freedoms, keep: Callable) -> tuple[Option, list[Tried]]:
        """The base with the views, models and blend that are kept, and what was tried."""

        def crossfitted(option: Option) -> np.ndarray:
            return self.fitting.crossfit(option, units, free.rule)

        views, of_views = keep(
            "view",
            free.views[1:],
            lambda names: crossfitted(base._replace(views=base.views + names)),
            lambda names: crossfitted(base._replace(views=names)),
        )
        every = base._replace(views=base.views + views)
        dropped, of_first = keep(
            "view",
            tuple(f"without {view}" for view in base.views if views),
            lambda names: crossfitted(every._replace(views=views) if names else every),
            lambda _: crossfitted(base),
        )
        merged = every._replace(views=views) if dropped else every
        models, of_models = keep(
            "model",
            tuple(model for model in free.models if free.several and model not in base.models),
            lambda names: crossfitted(merged._replace(models=base.models + names)),
            lambda names: crossfitted(merged._replace(models=names)),
        )
        several = merged._replace(models=base.models + models)
        blends, of_blends = keep(
            "blend",
            free.blends[1:] if models else (),  # of a single model there is nothing to blend
            lambda names: crossfitted(several._replace(blend=(base.blend, *names)[-1])),
        )
        return several._replace(blend=(base.blend, *blends)[-1]), of_views + of_first + of_models + of_blends

    def _keep(
        self, kind: str, names: Names, adding: Callable, alone: Callable | None = None, *,
        units: np.ndarray, free: Freedoms, asked: bool,
    ) -> tuple[Names, list[Tried]]:  # fmt: skip
        """`forward` with statistics of `adding` names to what is there; alone: of names by themselves."""
        groups = self.about.group.to_numpy()[units]
        return forward(
            kind,
            names,
            adding,
            lambda before, after: paired_gain(before, after, groups, self.score),
            (lambda some: score_of(self.score, (alone or adding)(some))) if asked else None,
            free.keep_gain,
        )

    def _crossfit_steps(
        self, decision: Decision, steps: dict[str, list], units: np.ndarray, sets: list[np.ndarray], names: Names
    ) -> np.ndarray:
        """Statistics of a decision with these steps, whose values are chosen on the units that are not held out."""

        def held_out(others: np.ndarray, out: np.ndarray) -> np.ndarray:
            return self.tables.measure(self._with_steps(decision, steps, names, others), out)

        return crossfit(units, sets, held_out)

    def _with_steps(self, decision: Decision, steps: dict[str, list], names: Names, units: np.ndarray) -> Decision:
        """The decision with these steps, one after the other with the value that scores best, of equals the first."""
        for name in names:
            options = self.tables.with_values(decision, name, steps[name], units)
            decision = max(options, key=lambda one: score_of(self.score, self.tables.measure(one, units)))
        return decision

"""A decision turns the models' probabilities into a mask: weights, views, blend, cut, levels, post-processing."""

from dataclasses import dataclass

import numpy as np

from tessera.decide.blending import BLENDS, blend
from tessera.decide.cuts.build import CUTS
from tessera.decide.steps.build import STEPS

EVERYWHERE = "*"  # the key of the levels of rows whose stratum or domain has none of its own


@dataclass(frozen=True)
class Decision:
    """weights: model → share, summing to 1. views: of the stored ones, merged with equal shares. blend: a name of
    `BLENDS`. cut: a name of `CUTS`. by: the column of the rows ("" for none) whose values are the keys of `levels`.
    levels: stratum, domain or "*" → what the cut takes, one a class. steps: those that are on (`steps/build.py`) → value.
    """

    weights: dict[str, float]
    views: list[str]
    blend: str
    cut: str
    by: str
    levels: dict[str, list]
    steps: dict[str, object]

    @property
    def models(self) -> list[str]:
        """The models that count."""
        return [model for model, weight in self.weights.items() if weight > 0]

    def levels_of(self, name: str) -> list:
        """The levels, one a class, of rows whose stratum or domain is `name`."""
        return self.levels.get(name, self.levels[EVERYWHERE])

    def mask(self, maps: np.ndarray, name: str, spacing: tuple[float, float]) -> np.ndarray:
        """The mask (C, H, W) bool of a row of stratum or domain `name`, after all steps that look at single rows.

        maps: (len(models), C, H, W) in 0…255, in the order of `models`. spacing: µm between px, along y and x.
        """
        blended = blend(BLENDS[self.blend](maps), [self.weights[model] for model in self.models])
        mask = CUTS[self.cut](blended, self.levels_of(name))
        for step in STEPS:
            if step in self.steps:
                mask = STEPS[step](mask, self.steps[step], spacing)
        return mask


def held_out_decisions(said: dict) -> dict[str, Decision]:
    """row_id → the decision that was made without the row, from what scores.json says of one way to decide."""
    return {row_id: Decision(**one["decision"]) for one in said.get("holdouts", []) for row_id in one["rows"]}

"""`pseudo:` how predictions of the test images become labels. Read by the command `python -m stages.pseudo` alone."""

from typing import Literal

from pydantic import Field, model_validator

from tessera.params.section import Section, Share


class Pseudo(Section):
    labels: Literal["hard", "soft"]  # 0 and 1 by the recipe's thresholds, or the probabilities
    bounds: tuple[Share, Share]  # probabilities between them are ignored; [0.5, 0.5] ignores none
    weight: float = Field(gt=0)  # how often a patch with such labels is drawn, where a labelled one is drawn once

    @model_validator(mode="after")
    def _bounds_rise(self) -> "Pseudo":
        if self.bounds[0] > self.bounds[1]:
            raise ValueError(f"bounds must rise, got {self.bounds}")
        return self

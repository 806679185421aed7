"""`tune:` what is decided on out-of-fold predictions."""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from tessera.params.section import Names, Section, Seed, unique

MOST_MODELS = 8  # whose weights are searched for: a byte each of a number
MOST_WEIGHTS = 5000  # combinations of them; beyond it a search takes hours
_STEPS = (0.02, 0.025, 0.04, 0.05, 0.1, 0.125, 0.2)  # of weights; the last one goes with any number of models

Blend = Literal["probabilities", "ranks"]


def _candidates(kind: type) -> object:
    """A list of positive values to try, none twice; empty: the step is not tried."""
    return Annotated[list[Annotated[kind, Field(gt=0)]], AfterValidator(unique)]


class Steps(Section):
    """Candidates of each post-processing step, in the order in which they are applied; off is always one."""

    gate: _candidates(int) = []  # px: a class with fewer in a row is empty there
    fill_holes: _candidates(int) = []  # px: holes up to it are filled
    split: _candidates(int) = []  # px between the middles of touching objects that are parted
    min_area: _candidates(int) = []  # px: smaller components are removed
    min_area_um2: _candidates(float) = []  # the same in µm², by data.pixel_size
    largest: _candidates(int) = []  # so many components of a row are kept
    min_volume: _candidates(int) = []  # voxels: smaller components over the slices of a volume are removed

    @property
    def candidates(self) -> dict[str, list]:
        """step → its values, of the steps that have any."""
        return {name: values for name, values in self if values}


class Tune(Section):
    ensemble: Annotated[Names, Field(max_length=MOST_MODELS)]
    blend: Annotated[list[Blend], Field(min_length=1), AfterValidator(unique)] = ["probabilities"]  # those to try
    cut: Literal["threshold", "quantile", "hysteresis", "triplet"] = "threshold"
    thresholds: Literal["one", "per_class", "per_stratum", "per_domain"]  # the levels of any cut; one: for all classes
    shrink: float = Field(default=0, ge=0)  # groups at which a stratum's own level and the common one weigh alike
    rule: Literal["max", "plateau", "mean_of_folds"] = "max"
    steps: Steps
    keep_gain: float = Field(default=1.0, ge=0)  # standard errors that what is kept must gain, cross-fitted
    step: float = Field(gt=0, le=1)  # of the weights on the simplex
    bootstrap: int = Field(ge=100)  # resamples of the groups
    seed: Seed

    @model_validator(mode="after")
    def _step_divides_one(self) -> "Tune":
        if abs(round(1 / self.step) * self.step - 1) > 1e-9:
            raise ValueError(f"step must divide 1, got {self.step}")
        return self

    @model_validator(mode="after")
    def _few_combinations(self) -> "Tune":
        models = len(self.ensemble)
        if (number := combinations(models, self.step)) > MOST_WEIGHTS:
            finest = next(step for step in _STEPS if combinations(models, step) <= MOST_WEIGHTS)
            raise ValueError(
                f"step {self.step} over {models} models gives {number} combinations of weights, more than {MOST_WEIGHTS}; "
                f"with so many models give {finest} or more"
            )
        return self

    @model_validator(mode="after")
    def _keys_agree(self) -> "Tune":
        if self.shrink and self.thresholds not in ("per_stratum", "per_domain"):
            raise ValueError(
                f"shrink pulls levels of strata or domains to the common one; thresholds {self.thresholds} has no such "
                "levels: take shrink out, or give thresholds: per_stratum"
            )
        if "ranks" in self.blend and len(self.ensemble) == 1:
            raise ValueError("blend ranks blends several models; ensemble names one: give blend: [probabilities]")
        return self


def combinations(models: int, step: float) -> int:
    """How many weights there are that are multiples of `step` and sum to 1."""
    parts = round(1 / step)
    return math.comb(parts + models - 1, models - 1)

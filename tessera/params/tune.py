"""`tune:` what is decided on out-of-fold predictions."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tessera.params.section import Names, Section, Seed


class Tune(Section):
    ensemble: Names
    thresholds: Literal["global", "per_stratum"]
    min_area: Annotated[
        list[Annotated[int, Field(ge=0)]], Field(min_length=1)
    ]  # candidates, original px; 0 removes nothing
    step: float = Field(gt=0, le=1)  # of the weights on the simplex
    bootstrap: int = Field(ge=100)  # resamples of the groups
    seed: Seed

    @model_validator(mode="after")
    def _step_divides_one(self) -> "Tune":
        if abs(round(1 / self.step) * self.step - 1) > 1e-9:
            raise ValueError(f"step must divide 1, got {self.step}")
        return self

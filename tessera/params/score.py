"""`score:` the competition's own measure."""

from typing import Literal

from pydantic import Field, model_validator

from tessera.params.section import Section, Share


class Score(Section):
    metric: Literal["dice", "fbeta"]
    beta: float = Field(gt=0, default=1.0)  # metric fbeta; 1 is Dice, below 1 false positives cost more
    average: Literal["pooled", "per_image"]
    empty: Share  # the score where truth and prediction are both empty
    direction: Literal["max"]

    @model_validator(mode="after")
    def _beta_has_its_metric(self) -> "Score":
        if self.metric == "dice" and self.beta != 1:
            raise ValueError(f"beta {self.beta:g} belongs to metric fbeta; the metric is dice")
        return self

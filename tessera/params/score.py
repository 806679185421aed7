"""`score:` the competition's own measure."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tessera.params.section import Section, Share, later

_PER_OBJECT = {"empty", "thresholds"}
# metric → the keys that it takes; docs/data.md says what they are. Its class: METRICS in tessera/metrics/build.py
KEYS = {
    "dice": {"average", "empty"},
    "iou": {"average", "empty"},
    "fbeta": {"average", "empty", "beta"},
    "surface_dice": {"average", "empty", "tolerance", "spacing"},
    "hausdorff": {"empty", "spacing"},
    "uw_madison": set(),
    "object_map": _PER_OBJECT,
    "object_fbeta": _PER_OBJECT | {"beta"},
}
NEEDED = {"average", "empty", "tolerance"}
Size = Annotated[float, Field(gt=0)]


class Score(Section):
    metric: Literal[*KEYS]
    beta: float = Field(gt=0, default=1.0)  # 1 is Dice, below 1 false positives cost more
    average: Literal["pooled", "per_image"] | None = None
    empty: Share | None = None  # the score where truth and prediction are both empty
    tolerance: float | None = later(None, ge=0)  # in the unit of spacing
    spacing: tuple[Size, Size, Size] | None = later(None)  # z, y, x size of a px; none: each image's own, else 1
    thresholds: Annotated[tuple[Annotated[float, Field(ge=0.5, lt=1)], ...], Field(min_length=1)] = later(
        (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    )  # IoU above which an object is found
    direction: Literal["max"]

    @property
    def own(self) -> dict:
        """The keys of the metric and their values."""
        return {key: getattr(self, key) for key in sorted(KEYS[self.metric])}

    @model_validator(mode="after")
    def _keys_have_their_metric(self) -> "Score":
        own = KEYS[self.metric]
        for key in sorted(NEEDED & own):
            if getattr(self, key) is None:
                raise ValueError(f"score.{key} is missing; metric {self.metric} needs it")
        for key in sorted(set().union(*KEYS.values()) - own):
            if getattr(self, key) != type(self).model_fields[key].default:
                takers = ", ".join(metric for metric, keys in KEYS.items() if key in keys)
                raise ValueError(f"{key} {getattr(self, key)} belongs to metric {takers}; the metric is {self.metric}")
        return self

"""`models.<name>.mix:` training windows made of two of a batch."""

from pydantic import Field, model_validator

from tessera.params.section import Section, Share


class Mix(Section):
    """Each is the probability that it happens to a batch; at most one does."""

    mixup: Share = 0  # both windows and targets blended
    mixup_alpha: float = Field(gt=0, default=0.4)  # the share of the other is drawn from Beta(alpha, alpha)
    cutmix: Share = 0  # a rectangle of another window, with its labels
    cutmix_alpha: float = Field(gt=0, default=1.0)  # the rectangle's share of the area likewise
    copy_positive: Share = 0  # the positive pixels of another window, with their labels

    @model_validator(mode="after")
    def _contradictions(self) -> "Mix":
        if self.share > 1:
            raise ValueError(
                f"at most one of mixup, cutmix and copy_positive happens to a batch; their sum is {self.share:g}"
            )
        return self

    @property
    def share(self) -> float:
        """Of batches that are mixed."""
        return self.mixup + self.cutmix + self.copy_positive

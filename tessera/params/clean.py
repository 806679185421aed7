"""`clean:` training images that a person has reviewed, beside `python -m stages.audit`."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from tessera.params.section import Section, unique

ImageId = Annotated[str, Field(coerce_numbers_to_str=True)]  # YAML reads 10044 as a number


class Clean(Section):
    drop: Annotated[list[ImageId], AfterValidator(unique)]  # left out of folds, training and scores
    weight: dict[ImageId, Annotated[float, Field(gt=0)]]  # how often an image's patches are drawn; others have 1

    @model_validator(mode="after")
    def _dropped_or_weighed(self) -> "Clean":
        both = [name for name in self.drop if name in self.weight]
        if both:
            raise ValueError(f"drop and weight both name {', '.join(both)}; give each image one of them")
        return self

"""`predict:` windows and views."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tessera.params.section import Section, unique


class Predict(Section):
    window: int = Field(ge=32, multiple_of=32)  # working px
    overlap: float = Field(ge=0, le=0.75)  # share of the window
    views: Annotated[
        list[Literal["identity", "flip_h", "flip_v", "rot180"]], Field(min_length=1), AfterValidator(unique)
    ]

"""What every section of params.yaml is made of."""

from collections.abc import Collection
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]  # becomes a file name and a DVC stage name
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def unique(values: Collection) -> Collection:
    """A check for pydantic: raises ValueError for a value that stands there twice."""
    if len(set(values)) != len(values):
        raise ValueError("names one thing twice")
    return values


Names = Annotated[list[Name], Field(min_length=1), AfterValidator(unique)]


def later(default: object, **rules: object) -> object:
    """A key younger than finished trainings: where it says what always was, their records stay as they were."""
    return Field(default=default, exclude_if=lambda value: value == default, **rules)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

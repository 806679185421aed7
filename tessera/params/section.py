"""What every section of params.yaml is made of."""

from collections.abc import Callable, Collection, Iterator
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)  # fmt: skip
from pydantic_core import InitErrorDetails, PydanticCustomError

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


def read_by(read: Callable[[object], object]) -> tuple[object, object]:
    """Of a key of several kinds, told apart by `read`: in the errors of a union, pydantic names its branches."""
    return PlainValidator(read), PlainSerializer(lambda value: value)


NO_NUMBER = PydanticCustomError("no_number", "a number is expected")


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    @field_validator("*", mode="wrap")
    @classmethod
    def _no_boolean_is_a_number(cls, value: object, read: ValidatorFunctionWrapHandler) -> object:
        """pydantic takes true for 1: `ema: true` would average for ever, `warmup: true` warm up to the last step."""
        found = read(value)
        if problems := list(_booleans_as_numbers(value, found, ())):
            raise ValidationError.from_exception_data(cls.__name__, problems)
        return found


def _booleans_as_numbers(value: object, found: object, place: tuple[str | int, ...]) -> Iterator[InitErrorDetails]:
    """Each boolean of `value`, within lists and mappings too, that pydantic has read as something else."""
    if isinstance(value, bool) and not isinstance(found, bool):
        yield InitErrorDetails(type=NO_NUMBER, loc=place, input=value)
    elif isinstance(value, list | tuple) and isinstance(found, list | tuple):
        for number, both in enumerate(zip(value, found, strict=True)):
            yield from _booleans_as_numbers(*both, (*place, number))
    elif isinstance(value, dict) and isinstance(found, dict):
        for key, one in value.items():
            yield from _booleans_as_numbers(one, found.get(key, one), (*place, key))

"""`models.<name>.augment:` random changes of training windows: ranges, the name of a list, or a list written out."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, PlainSerializer, ValidatorFunctionWrapHandler, WrapValidator

from tessera.params.section import Section, Share

LISTS = ("light", "medium", "heavy", "stain", "volume")  # what they do: tessera/learn/augmentations/lists.py
OF_RGB = {
    "stain", "StainJitter", "ChromaticAberration", "ColorJitter", "HEStain", "HueSaturationValue",
    "ISONoise", "PlanckianJitter", "RGBShift", "RandomFog", "RandomGravel", "RandomRain", "RandomSnow",
    "RandomSunFlare", "Spatter", "ToGray", "ToSepia",
}  # fmt: skip
OF_RGB_OR_GREY = {"CLAHE", "Equalize"}  # change a grey image too, but take the three channels of a stack for colours
OF_STACKS = {"volume", "SliceJitter", "SliceDropout"}


class Augment(Section):
    """Ranges of random changes; 0 turns one off."""

    flip: bool = True
    rot90: bool = True
    scale: float = Field(ge=0, lt=1, default=0)  # ± share of the size
    rotate: float = Field(ge=0, le=180, default=0)  # ± degrees
    brightness: Share = 0  # ± share of the range
    contrast: Share = 0
    hue: float = Field(ge=0, le=90, default=0)  # ± OpenCV degrees, RGB alone
    saturation: float = Field(ge=0, le=127, default=0)  # ± of 255, RGB alone


Entry = str | dict[str, object]  # the name of a list, or {name: <transform>, <argument>: <value>, …}


def _read(value: object, read_ranges: ValidatorFunctionWrapHandler) -> Augment | list[Entry]:
    """A mapping is ranges; a name is the list of that one name. Whether transforms exist, `train` finds out."""
    if not isinstance(value, str | list):
        return read_ranges(value)
    entries = [value] if isinstance(value, str) else value
    for entry in entries:
        _check(entry)
    return entries


def _check(entry: object) -> None:
    form = "{name: <albumentations transform>, <argument>: <value>, …}"
    if isinstance(entry, str):
        if entry not in LISTS:
            raise ValueError(f"{entry!r} is no list; it must be one of {', '.join(LISTS)}, or {form}")
        return
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise ValueError(f"an entry is one of {', '.join(LISTS)}, or {form}; got {entry!r}")
    p = entry.get("p", 1)
    if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p <= 1:
        raise ValueError(f"{entry['name']}: p is a probability in 0…1, got {p!r}")
    inner = entry.get("transforms", [])
    if not isinstance(inner, list) or ("transforms" in entry and not inner):
        raise ValueError(f"{entry['name']}: transforms is a list of entries, one at least; got {inner!r}")
    for one in inner:
        _check(one)
    if inner and all(isinstance(one, dict) and one.get("p", 1) == 0 for one in inner):
        raise ValueError(f"{entry['name']}: none of its transforms ever happens, each has p 0; raise one of them")


Augmenting = Annotated[
    Augment,  # or list[Entry]
    WrapValidator(_read),
    PlainSerializer(lambda augment: augment if isinstance(augment, list) else augment.model_dump()),
]


def names_in(augment: Augment | list[Entry]) -> Iterator[str]:
    """The ranges that are not off; or the names of lists and transforms, those inside others too."""
    if isinstance(augment, Augment):
        yield from (key for key, value in augment if value)
        return
    for entry in augment:
        if isinstance(entry, str):
            yield entry
        else:
            yield entry["name"]
            yield from names_in(entry.get("transforms", []))


def colours_in(augment: Augment | list[Entry], of: set[str] = OF_RGB) -> str:
    """Those changes that take three channels for red, green and blue, joined by commas."""
    return ", ".join(name for name in names_in(augment) if name in of | {"hue", "saturation"})

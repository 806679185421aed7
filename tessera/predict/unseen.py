"""Views that a model's training never showed it."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from tessera.learn.augmentations.lists import LISTS
from tessera.learn.augmentations.ranges import entries_of
from tessera.predict.views import ALTERNATING, FLIPS, TURNS, View, turned

if TYPE_CHECKING:
    from tessera.params.augment import Entry
    from tessera.params.model import Model

SHOWS = {  # turns, by albumentations' names
    "HorizontalFlip": {"flip_h"}, "VerticalFlip": {"flip_v"}, "Transpose": {"transpose"},
    "RandomRotate90": {"rot90", "rot180", "rot270"}, "D4": set(TURNS), "SquareSymmetry": set(TURNS),
}  # fmt: skip
ROTATED = {  # the argument with degrees counter-clockwise, what it is where it is left out, and whether 30 means ±30
    "Affine": ("rotate", 0, False), "Rotate": ("limit", 90, True), "SafeRotate": ("limit", 90, True),
    "ShiftScaleRotate": ("rotate_limit", 45, True),
}  # fmt: skip
QUARTERS = ("identity", "rot90", "rot180", "rot270")
PLANE = torch.arange(4).view(2, 2)


def unseen_views(views: list[str], model: "Model") -> list[str]:
    """Those of the views whose turn, or scale, no change of `augment` makes."""
    entries = model.augment if isinstance(model.augment, list) else entries_of(model.augment)
    turns, ranges = _turns(entries), [_scales(change) for change in _each(entries)]
    smallest, largest = min([1.0, *(low for low, _ in ranges)]), max([1.0, *(high for _, high in ranges)])

    def seen(view: View) -> bool:
        asked = FLIPS if view.turn == ALTERNATING else [view.turn]
        return turns.issuperset(asked) and smallest <= view.factor <= largest

    return [name for name in views if not seen(View.of(name))]


def _each(entries: list["Entry"]) -> Iterator[dict[str, object]]:
    """The transforms that happen, those of lists and inside others too."""
    for entry in entries:
        if isinstance(entry, str):
            yield from _each(LISTS[entry])
        elif entry.get("p", 1) > 0:
            yield entry
            yield from _each(entry.get("transforms", []))


def _turns(entries: list["Entry"], one_alone: bool = False) -> set[str]:
    """All that entries make of a window, one after the other, or one alone; each may also leave it."""
    made = {"identity"}
    for entry in entries:
        own = _turns(LISTS[entry]) if isinstance(entry, str) else _own_turns(entry)
        made |= own if one_alone else {_name(turned(turned(PLANE, one), two)) for one in made for two in own}
    return made


def _own_turns(entry: dict[str, object]) -> set[str]:
    name = entry["name"]
    if not entry.get("p", 1) > 0:
        return set()
    if "transforms" in entry:
        return _turns(entry["transforms"], one_alone=name == "OneOf")
    if name not in ROTATED:
        return SHOWS.get(name, set())
    argument, default, around = ROTATED[name]
    low, high = _pair(entry.get(argument, default), around)
    return {QUARTERS[quarter % 4] for quarter in range(math.ceil(low / 90), math.floor(high / 90) + 1)}


def _name(plane: torch.Tensor) -> str:
    """The turn that makes a plane of `PLANE`."""
    return next(name for name in TURNS if torch.equal(turned(PLANE, name), plane))


def _scales(change: dict[str, object]) -> tuple[float, float]:
    """The smallest and the largest scale at which a transform shows a window; (1, 1) where it does not change it."""
    name = change["name"]
    if name == "Affine":
        scale = change.get("scale", 1.0)
        sides = [_pair(scale.get(axis, 1.0)) for axis in "xy"] if isinstance(scale, dict) else [_pair(scale)]
        return max(low for low, _ in sides), min(high for _, high in sides)  # that both sides reach
    if name in ("RandomScale", "ShiftScaleRotate"):
        low, high = _pair(change.get("scale_limit", 0.1), around=True)
        return 1 + low, 1 + high
    if name == "RandomResizedCrop":  # a share of the area, enlarged to all of it
        least, most = change.get("scale", (0.08, 1.0))
        return most**-0.5, least**-0.5
    if name == "RandomSizedCrop":
        least, most = change["min_max_height"]
        return change["size"][0] / most, change["size"][0] / least
    return 1.0, 1.0


def _pair(value: object, around: bool = False) -> tuple[float, float]:
    """A range, of two numbers or of one: that one alone, or as much below and above 0."""
    if isinstance(value, list | tuple):
        return min(value), max(value)
    return (-abs(value), abs(value)) if around else (value, value)

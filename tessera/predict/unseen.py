"""Views that a model's training never showed it."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch

from tessera.learn.augmentations.lists import LISTS
from tessera.learn.augmentations.ranges import entries_of
from tessera.predict.views import ALTERNATING, FLIPS, TURNS, View, turned

if TYPE_CHECKING:
    from tessera.params.augment import Entry
    from tessera.params.model import Model

SHOWS = {  # turns, by albumentations' names
    "HorizontalFlip": ["flip_h"], "VerticalFlip": ["flip_v"], "Transpose": ["transpose"], "RandomRotate90": ["rot90"],
    "D4": list(TURNS), "SquareSymmetry": list(TURNS),
}  # fmt: skip


def unseen_views(views: list[str], model: "Model") -> list[str]:
    """Those of the views whose turn, or scale, no change of `augment` makes."""
    entries = model.augment if isinstance(model.augment, list) else entries_of(model.augment)
    changes = list(_each(entries))
    turns = _combined([turn for change in changes for turn in SHOWS.get(change["name"], [])])
    ranges = [_scales(change) for change in changes]
    smallest, largest = min([1.0, *(low for low, _ in ranges)]), max([1.0, *(high for _, high in ranges)])

    def seen(view: View) -> bool:
        asked = FLIPS if view.turn == ALTERNATING else [view.turn]
        return turns.issuperset(asked) and smallest <= view.factor <= largest

    return [name for name in views if not seen(View.of(name))]


def _each(entries: list["Entry"]) -> Iterator[dict[str, object]]:
    """The transforms, those of lists and inside others too."""
    for entry in entries:
        if isinstance(entry, str):
            yield from _each(LISTS[entry])
        else:
            yield entry
            yield from _each(entry.get("transforms", []))


def _combined(turns: list[str]) -> set[str]:
    """All that some turns make, one after the other."""
    plane = torch.arange(4).view(2, 2)
    names = {tuple(turned(plane, name).flatten().tolist()): name for name in TURNS}
    made, before = {"identity"}, set()
    while made != before:
        before = set(made)
        made |= {names[tuple(turned(turned(plane, one), two).flatten().tolist())] for one in before for two in turns}
    return made


def _scales(change: dict[str, object]) -> tuple[float, float]:
    """The smallest and the largest scale at which a transform shows a window; (1, 1) where it does not change it."""
    if change["name"] == "Affine":
        return _pair(change.get("scale", 1.0), lambda value: (value, value))
    if change["name"] in ("RandomScale", "ShiftScaleRotate"):
        low, high = _pair(change.get("scale_limit", 0.1), lambda value: (-value, value))
        return 1 + low, 1 + high
    return 1.0, 1.0


def _pair(value: object, of_one: Callable[[float], tuple[float, float]]) -> tuple[float, float]:
    """A range, of one number or of two; by axis ({x: …, y: …}), that of x."""
    value = value["x"] if isinstance(value, dict) else value
    return tuple(value) if isinstance(value, list | tuple) else of_one(value)

"""A transform from its entry in params.yaml."""

import difflib
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from tessera.errors import InputError
from tessera.learn.augmentations import mirrors
from tessera.learn.augmentations.elastic import Elastic
from tessera.learn.augmentations.library import albumentations
from tessera.learn.augmentations.lists import LISTS
from tessera.learn.augmentations.slices import OfSlices, SliceDropout, SliceJitter
from tessera.learn.augmentations.stain import StainJitter
from tessera.tasks import IGNORE

if TYPE_CHECKING:
    from tessera.params.augment import Entry

OURS = {
    "Elastic": Elastic, "SliceDropout": SliceDropout, "SliceJitter": SliceJitter, "StainJitter": StainJitter,
    **{kind.__name__: kind for kind in mirrors.Mirror.__subclasses__()},
}  # fmt: skip

Transform = albumentations.BasicTransform | albumentations.BaseCompose


class Window(NamedTuple):
    """What transforms are asked to change."""

    size: int  # px
    channels: int  # of the whole stack
    slices: int
    order: list[int]  # of the classes in a mirror image


def expand(entries: list["Entry"]) -> Iterator[dict[str, object]]:
    """The entries with the names of lists replaced by what they stand for."""
    for entry in entries:
        yield from LISTS[entry] if isinstance(entry, str) else [entry]


def build_transform(entry: dict[str, object], window: Window) -> Transform:
    """The transform that an entry names; of labels, what it fills in from beyond the border is ignored.

    Raises InputError: no such transform, an argument that it does not have, or a value that it does not take.
    """
    name, arguments = entry["name"], {key: value for key, value in entry.items() if key != "name"}
    kind = _kind(name)
    known = _arguments(kind)
    for key in arguments:
        if key not in known:
            raise InputError(f"augment: {name} has no argument {key!r};{_near(key, known)} it has {', '.join(known)}")
    if arguments.get("mask_interpolation", 0) != 0:
        raise InputError(f"augment: {name}: labels are never blended, mask_interpolation must be 0 (nearest)")
    if "transforms" in arguments:
        arguments["transforms"] = [_inner(one, window) for one in arguments["transforms"]]
    if {"border_mode", "fill_mask"} <= known.keys():
        fills = {"fill": 0, "fill_mask": IGNORE} | arguments
        arguments |= {key: _of_four(fills[key]) for key in ("fill", "fill_mask")}
    try:
        transform = kind(**arguments)
    except Exception as error:  # the library's own checks raise what they like
        raise InputError(f"augment: {name} does not take {entry}: {_said(error.__cause__ or error)}") from None
    mirrors.refuse_hidden(transform)
    if isinstance(transform, OfSlices):
        transform.slices = window.slices
    if isinstance(transform, mirrors.Mirror) and window.order != sorted(window.order):
        transform.order = window.order
    return transform


def _inner(entry: "Entry", window: Window) -> Transform:
    """A transform within another one; there a list is one thing that happens as a whole."""
    if not isinstance(entry, str):
        return build_transform(entry, window)
    return albumentations.Sequential([build_transform(one, window) for one in LISTS[entry]], p=1)


def _of_four(fill: object) -> object:
    """A number for each plane: OpenCV takes four planes at a time, and one number for the first of them alone."""
    return (fill,) * 4 if isinstance(fill, int | float) else fill


def _kind(name: str) -> type:
    kind = OURS.get(name) or getattr(albumentations, name, None)
    if not (inspect.isclass(kind) and issubclass(kind, Transform)):
        kinds = {
            key for key, one in vars(albumentations).items() if inspect.isclass(one) and issubclass(one, Transform)
        }
        raise InputError(
            f"augment: no transform is called {name!r};{_near(name, kinds)} there are those of albumentations "
            f"{albumentations.__version__}, the lists {', '.join(LISTS)}, and {', '.join(OURS)}"
        )
    if kind is albumentations.Lambda:
        raise InputError("augment: Lambda changes by functions, which params.yaml cannot hold; take another transform")
    return kind


def _arguments(kind: type) -> dict[str, inspect.Parameter]:
    named = inspect.signature(kind.__init__).parameters.items()
    return {key: one for key, one in named if key != "self" and one.kind is not one.VAR_KEYWORD}


def _said(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(": ".join(filter(None, [".".join(map(str, one["loc"])), one["msg"]])) for one in error.errors())


def _near(name: str, known: object) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f" did you mean {near[0]!r}?" if near else ""

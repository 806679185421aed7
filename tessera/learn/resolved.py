"""Every value that a training was given: those of params.yaml, and those that it leaves to defaults and to lists."""

import inspect
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import BaseModel

from tessera.learn.augmentations.build import entries_in
from tessera.learn.augmentations.entries import OURS, expand
from tessera.learn.augmentations.library import albumentations

if TYPE_CHECKING:
    from tessera.params.augment import Entry
    from tessera.params.model import Model


def resolved(model: "Model") -> dict:
    """As JSON has them: all keys of the model, which its record leaves out where they say what always was, and the
    transforms that `augment` stands for with all their arguments. Transforms are known to exist."""
    values = _values(model) | {"transforms": list(_transforms(entries_in(model)))}
    return json.loads(json.dumps(values, default=lambda value: type(value).__name__))


def _values(value: object) -> object:
    if isinstance(value, BaseModel | dict):
        return {key: _values(one) for key, one in dict(value).items()}
    return [_values(one) for one in value] if isinstance(value, list | tuple) else value


def _transforms(entries: list["Entry"]) -> Iterator[dict[str, object]]:
    for entry in expand(entries):
        kind = OURS.get(entry["name"]) or getattr(albumentations, entry["name"])
        named = inspect.signature(kind.__init__).parameters
        defaults = {key: one.default for key, one in named.items() if one.default is not one.empty}
        inner = {"transforms": list(_transforms(entry["transforms"]))} if "transforms" in entry else {}
        yield defaults | entry | inner

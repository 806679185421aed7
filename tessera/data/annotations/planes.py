"""Label planes: a plane (H, W) a class, uint8: 0, 1 and 255 where the pixel counts nowhere. Classes may overlap."""

from typing import TYPE_CHECKING

import numpy as np

from tessera.errors import InputError
from tessera.tasks import IGNORE

if TYPE_CHECKING:
    from tessera.params.data import Data

BACKGROUND, IGNORED = "background", "ignore"  # what a colour or a name may mean besides a class


def empty_planes(data: "Data", shape: tuple[int, int]) -> np.ndarray:
    """Planes (K, H, W) without a positive."""
    return np.zeros((len(data.classes), *shape), np.uint8)


def paint(planes: np.ndarray, mask: np.ndarray, meaning: str, classes: list[str]) -> None:
    """Adds a mask (H, W), bool or 0/1, of what `meaning` names; ignored pixels stay so, whatever else is there."""
    if meaning == IGNORED:
        np.maximum(planes, mask * np.uint8(IGNORE), out=planes)
    elif meaning != BACKGROUND:
        plane = planes[classes.index(meaning)]
        np.maximum(plane, mask.astype(np.uint8, copy=False), out=plane)


def meaning_of(name: str | None, data: "Data") -> str:
    """What a class column's or a polygon's name means: a class, background or ignore. None is said: the only class.

    Raises InputError for an unknown name.
    """
    if name is None and len(data.classes) == 1:
        return data.classes[0]
    if name in data.class_names:
        return data.class_names[name]
    if name not in data.classes:
        raise InputError(
            f"class {name!r} is not known, data.classes is {', '.join(data.classes)}; "
            "say in data.class_names which class it is, or background, or ignore"
        )
    return name

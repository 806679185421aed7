"""Label planes: a plane (H, W) a class, uint8: 0, 1 and 255 where the pixel counts nowhere. Classes may overlap."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tessera.errors import InputError
from tessera.tasks import IGNORE

if TYPE_CHECKING:
    from tessera.params.data import Data

BACKGROUND, IGNORED = "background", "ignore"  # what a colour or a name may mean besides a class


class LabelSlice(NamedTuple):
    """Whose label is asked for."""

    image_id: str
    names: tuple[str, ...]  # of all slices of the volume; ("",) of an image, and where one label stands for all depth
    z: int
    shape: tuple[int, int]  # (H, W)

    @property
    def name(self) -> str:
        return self.names[self.z]

    def alone(self) -> "LabelSlice":
        """The slice as if it were the only one: what a file of its own holds."""
        return self._replace(names=(self.name,), z=0)


def spans(height: int, rows: int) -> list[tuple[int, int]]:
    """First row and end of each band of `rows` rows; the last one has the rest."""
    return [(y, min(y + rows, height)) for y in range(0, height, rows)]


def empty_planes(classes: int, shape: tuple[int, int]) -> np.ndarray:
    """Planes (K, H, W) without a positive."""
    return np.zeros((classes, *shape), np.uint8)


def paint(planes: np.ndarray, mask: np.ndarray, meaning: str, classes: list[str]) -> None:
    """Adds a mask (H, W), bool or 0, 1 and 255, of what `meaning` names; ignored pixels stay so, whatever else is there."""
    if meaning == IGNORED:
        np.maximum(planes, (mask > 0) * np.uint8(IGNORE), out=planes)
    elif meaning != BACKGROUND:
        plane = planes[classes.index(meaning)]
        np.maximum(plane, mask.astype(np.uint8, copy=False), out=plane)


def meaning_of(name: str | None, data: "Data") -> str:
    """What a class column's or a polygon's name means: a class, background or ignore. None is said: the only class.

    Raises InputError for an unknown name, and for none where there are several classes.
    """
    if name is None and len(data.classes) == 1:
        return data.classes[0]
    if name is None:
        raise InputError(
            f"names no class, data.classes is {', '.join(data.classes)}; give each polygon its own, as "
            "properties.classification.name or type"
        )
    if name in data.class_names:
        return data.class_names[name]
    if name not in data.classes:
        raise InputError(
            f"class {name!r} is not known, data.classes is {', '.join(data.classes)}; "
            "say in data.class_names which class it is, or background, or ignore"
        )
    return name

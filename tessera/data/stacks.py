"""2.5D stacks: which slices a model reads around the one it predicts. Neighbours are read, never stored."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from tessera.data.pixels import Depth, PixelStore
from tessera.errors import InputError

if TYPE_CHECKING:
    from tessera.params.model import Model


class Stack(NamedTuple):
    """How a model reads depth."""

    slices: int = 1
    step: int = 1  # slices between those of the stack
    edge: str = "clamp"  # beyond the volume: clamp repeats its last slice, reflect goes back without repeating it
    depths: tuple[int, int] | None = None  # the slices that are read, half-open; by default all
    centres: tuple[int, ...] | None = None  # middles of the stacks of a volume with one label; by default its middle

    @classmethod
    def of(cls, model: "Model") -> "Stack":
        return cls(model.slices, model.step, model.edge, model.depths, model.centres)

    @property
    def half(self) -> int:
        """Slices that a stack reaches to each side of its middle."""
        return self.slices // 2 * self.step

    def bounds(self, slices: int) -> tuple[int, int]:
        """Those of the slices of a volume that are read, half-open."""
        first, end = self.depths or (0, slices)
        return first, min(end, slices)

    def shows(self, depth: Depth, z: int | pd.Series) -> bool | pd.Series:
        """Whether a label slice is predicted: the one label of a volume, and of labels of slices those in `depths`."""
        first, end = self.bounds(depth.slices)
        return depth.one_label | ((z >= first) & (z < end))

    def shown(self, rows: pd.DataFrame, store: PixelStore) -> pd.Series:
        """`shows` of rows with image_id and z, bool."""
        return rows.groupby("image_id").z.transform(lambda own: self.shows(store.depth(own.name), own)).astype(bool)

    def around(self, z: int, depth: int) -> list[int]:
        """The slices of the stack with slice z in its middle, of a volume of `depth` slices."""
        first, end = self.bounds(depth)
        wanted = z - first + self.step * (np.arange(self.slices) - self.slices // 2)
        return (first + EDGES[self.edge](wanted, end - 1 - first)).tolist()

    def middles(self, store: PixelStore, image_id: str, z: int) -> list[int]:
        """The slices around which stacks show the label slice z: itself or, where one label stands for all depth, the
        `centres`.

        Raises InputError when a volume with one label lacks a slice of `depths` or `centres`.
        """
        depth = store.depth(image_id)
        if not depth.one_label and not self.centres:
            return [z]
        first, end = self.depths or (0, depth.slices)
        centres = self.centres or ((first + end) // 2,)
        if end > depth.slices or max(centres) >= end:
            raise InputError(
                f"{image_id}: has slices 0…{depth.slices - 1}; depths {self.depths} and centres {self.centres} of the model "
                "must lie within"
            )
        return list(centres)


def reflect(places: np.ndarray, last: int | np.ndarray) -> np.ndarray:
    """Places mirrored into 0…last, whose ends are not repeated."""
    return last - np.abs(places % np.maximum(2 * last, 1) - last)


EDGES = {"clamp": lambda places, last: np.clip(places, 0, last), "reflect": reflect}  # (places, last) → in 0…last

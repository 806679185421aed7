"""Labels as RLE rows of a csv: one an image or slice, one a class, or several that are united."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tessera.data.annotations.files import row_id, row_ids
from tessera.data.annotations.planes import BACKGROUND, LabelSlice, empty_planes, meaning_of, paint, spans
from tessera.data.layout import Item
from tessera.errors import InputError, collected
from tessera.labels import RleForm, read_rle_table

if TYPE_CHECKING:
    from tessera.params.data import Data


class RleRows:
    """The rows of `data.train_rle`. A class without a row is empty where the image has other rows."""

    def __init__(self, data: "Data", problems: list[str]):
        """Reads the csv; second rows and unknown classes go to `problems`. Raises InputError: not such a csv."""
        self.data = data
        form = RleForm(data.rle_order, data.rle_base, data.rle_starts == "relative", tuple(data.rle_empty))
        path = Path(data.source) / data.train_rle
        self.table = read_rle_table(path, data.id, data.rle_column, form, data.class_column, data.id_ending)
        problems += self.table.repeated(data.rle_rows == "several")
        self.meanings = self._meanings(problems)

    def bands(self, asked: LabelSlice, rows: int) -> Iterator[np.ndarray]:
        """Planes (K, h, W) of `rows` rows, of which no more than the runs is held.

        Raises InputError naming file, line and id of each wrong row, before the first band.
        """
        name, masks, problems = row_id(asked.image_id, asked.name), [], []
        if name not in self.table.rows:
            raise InputError(f"{self.table.path}: no row for id {name!r}")
        for row in self.table.rows[name]:
            with collected(problems):
                masks.append((self.table.read_runs(row, asked.shape), self.meanings[row.class_name]))
        if problems:
            raise InputError(*problems)
        for y0, y1 in spans(asked.shape[0], rows):
            planes = empty_planes(len(self.data.classes), (y1 - y0, asked.shape[1]))
            for runs, meaning in masks:
                paint(planes, runs.rows(y0, y1), meaning, self.data.classes)
            yield planes

    def shared(self, asked: LabelSlice) -> bool:
        """Whether all slices of the volume have this label: each has rows of its own."""
        return False

    def close(self) -> None:
        """Nothing stays open from slice to slice."""

    def strangers(self, items: list[Item]) -> list[str]:
        """A problem for every row without an image or slice."""
        known = row_ids(items)
        return [
            f"{self.table.path} line {row.line}: id {name!r} has no image"
            for name, rows in self.table.rows.items()
            for row in rows
            if name not in known
        ]

    def _meanings(self, problems: list[str]) -> dict[str | None, str]:
        """What each class of the csv means; an unknown one is a problem once, whatever the number of its rows."""
        meanings: dict[str | None, str] = {}
        for rows in self.table.rows.values():
            for row in rows:
                if row.class_name not in meanings:
                    meanings[row.class_name] = BACKGROUND
                    with collected(problems, f"{self.table.path} line {row.line}: "):
                        meanings[row.class_name] = meaning_of(row.class_name, self.data)
        return meanings

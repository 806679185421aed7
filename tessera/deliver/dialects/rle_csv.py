"""Submissions of RLE rows: `id,rle` or, with a row a class, `id,class,rle`, whatever the columns are called."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tessera.errors import InputError
from tessera.labels import RleForm, read_csv


class RleCsv:
    """Writes, reads and checks one form of RLE rows for the channels `classes` of a mask."""

    def __init__(self, form: RleForm, by_class: bool, classes: list[str]):
        """Raises InputError for several classes where a row has none."""
        if len(classes) > 1 and not by_class:
            raise InputError(
                f"submit.dialect writes one mask a row, data.classes are {', '.join(classes)}; use uwmadison"
            )
        self.form, self.by_class, self.classes = form, by_class, classes

    @property
    def columns(self) -> list[str]:
        """Names of the columns, where no sample submission gives others."""
        return ["id", "class", "rle"] if self.by_class else ["id", "rle"]

    def write(self, path: Path, columns: list[str], rows: Iterable[tuple[str, np.ndarray]]) -> None:
        """Writes (row_id, mask (C, H, W) bool) rows as they come, each class of one after the other."""
        with open(path, "w", newline="\n") as file:
            file.write(",".join(columns) + "\n")
            for row_id, mask in rows:
                for name, plane in zip(self.classes, mask, strict=True):
                    file.write(",".join([*self._key(row_id, name), self.form.encode(plane)]) + "\n")

    def read(self, path: Path, shapes: dict[str, tuple[int, int]]) -> Iterator[tuple[str, np.ndarray]]:
        """(row_id, mask (C, H, W) bool) of each id. Raises InputError naming the row: not decodable, not known, lacking."""
        table = read_csv(path)
        for row_id, rows in table.groupby(table.columns[0], sort=False):
            if row_id not in shapes:
                raise InputError(f"{path} line {rows.index[0] + 2}: id {row_id!r} has no image")
            planes = {}
            for line, values in zip(rows.index + 2, rows.itertuples(index=False), strict=True):
                name = values[1] if self.by_class else self.classes[0]
                try:
                    planes[name] = self.form.decode(values[-1], shapes[row_id]).astype(bool)
                except InputError as error:
                    raise InputError(f"{path} line {line} (id {row_id}): {error}") from None
            if planes.keys() != set(self.classes):
                raise InputError(f"{path}: id {row_id!r} has the classes {list(planes)}, not {self.classes}")
            yield row_id, np.stack([planes[name] for name in self.classes])

    def validate(self, path: Path, template: pd.DataFrame, shapes: dict[str, tuple[int, int]]) -> list[str]:
        """All that a competition would refuse: columns, ids, their order, rows that do not decode to their image's shape."""
        table = read_csv(path)
        if list(table.columns) != list(template.columns):
            return [f"columns are {list(table.columns)}, the sample submission has {list(template.columns)}"]
        found, wanted = self._keys(table), self._keys(template)
        there, asked = set(found), set(wanted)
        problems = [f"{_said(key)} is missing" for key in wanted if key not in there]
        problems += [f"{_said(key)} is not asked for" for key in found if key not in asked]
        again = pd.Series(found).duplicated()
        problems += [f"{_said(key)} has two rows" for key, twice in zip(found, again, strict=True) if twice]
        if not problems and found != wanted:
            place = next(n for n, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b)
            problems.append(
                f"the order differs from the sample submission's at row {place + 1}: "
                f"{_said(found[place])}, not {_said(wanted[place])}"
            )
        problems += self._foreign_empties(template, shapes)
        if not problems:
            try:
                for _ in self.read(path, shapes):
                    pass
            except InputError as error:
                problems.append(str(error))
        return problems

    def _key(self, row_id: str, name: str) -> tuple[str, ...]:
        return (row_id, name) if self.by_class else (row_id,)

    def _keys(self, table: pd.DataFrame) -> list[tuple[str, ...]]:
        return list(table.iloc[:, : 2 if self.by_class else 1].itertuples(index=False, name=None))

    def _foreign_empties(self, template: pd.DataFrame, shapes: dict[str, tuple[int, int]]) -> list[str]:
        """A placeholder that this form cannot read: the competition says empty masks in a way that it does not write."""
        for row_id, text in zip(template.iloc[:, 0], template.iloc[:, -1], strict=True):
            try:
                self.form.decode(text, shapes.get(row_id, (1, 1)))
            except InputError:
                return [
                    f"the sample submission holds {text!r} for {row_id}, which is no RLE: the competition says an empty "
                    f"mask in another way than this submit.dialect, which writes {self.form.empty[0]!r}"
                ]
        return []


def _said(key: tuple[str, ...]) -> str:
    return f"id {key[0]!r}" + "".join(f" class {name!r}" for name in key[1:])

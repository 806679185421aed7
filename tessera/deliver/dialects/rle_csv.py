"""Submissions of RLE rows: a row an image or slice or, by class, one a class of it; whatever the columns are called."""

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tessera.data.csv_names import CsvNames
from tessera.errors import InputError
from tessera.labels import RleForm, read_csv

Key = tuple[str, str]  # id and class of a row
SAMPLE = "the sample submission"


class RleCsv:
    """Writes, reads and checks one form of RLE rows for the channels `classes` of a mask."""

    def __init__(self, form: RleForm, by_class: bool, classes: list[str], names: CsvNames):
        """Raises InputError for several classes where a row has none."""
        if len(classes) > 1 and not by_class:
            raise InputError(
                f"submit.dialect writes one mask a row, data.classes are {', '.join(classes)}; use uwmadison"
            )
        self.form, self.by_class, self.classes, self.names = form, by_class, classes, names

    @property
    def columns(self) -> list[str]:
        """Names of the columns, where no sample submission gives others."""
        return self.names.columns(self.by_class)

    def write(self, path: Path, columns: list[str], rows: Iterable[tuple[str, np.ndarray]]) -> None:
        """Writes (row_id, mask (C, H, W) bool) rows as they come, each class of one after the other, and nothing else.

        columns: what to call those of `columns`.
        """
        with open(path, "w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(columns)
            for (row_id, name), text in self._texts(rows):
                table.writerow([row_id, name, text] if self.by_class else [row_id, text])

    def fill(self, path: Path, template: pd.DataFrame, rows: Iterable[tuple[str, np.ndarray]]) -> None:
        """Writes the sample submission with the RLE of (row_id, mask (C, H, W) bool) rows; all else stays as it is there.

        A text waits for its turn: none does where rows come in the order of the ids, and those of one id stand together.
        """
        rle = template.columns.get_loc(self._find(SAMPLE, template)[-1])
        asked = deque(zip(self._keys(SAMPLE, template), template.to_numpy().tolist(), strict=True))
        waiting: dict[Key, str] = {}
        with open(path, "w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(template.columns)
            for key, text in self._texts(rows):
                waiting[key] = text
                while asked and asked[0][0] in waiting:
                    turn, cells = asked.popleft()
                    table.writerow([*cells[:rle], waiting.pop(turn), *cells[rle + 1 :]])

    def read(self, path: Path, shapes: dict[str, tuple[int, int]]) -> Iterator[tuple[str, np.ndarray]]:
        """(row_id, mask (C, H, W) bool) of each id. Raises InputError naming the row: not decodable, not known, lacking."""
        table = read_csv(path)
        row_id, *_, rle = self._find(path, table)
        keys = dict(zip(table.index, self._keys(path, table), strict=True))
        for name, texts in table[rle].groupby(table[row_id], sort=False):
            if name not in shapes:
                raise InputError(f"{path} line {texts.index[0] + 2}: id {name!r} has no image")
            planes = {}
            for place, text in texts.items():
                key = keys[place]
                if key[1] in planes:
                    raise InputError(f"{path} line {place + 2}: {self._said(key)} has two rows")
                try:
                    planes[key[1]] = self.form.decode(text, shapes[name]).astype(bool)
                except InputError as error:
                    raise InputError(f"{path} line {place + 2} (id {name}): {error}") from None
            if planes.keys() != set(self.classes):
                raise InputError(f"{path}: id {name!r} has the classes {list(planes)}, not {self.classes}")
            yield name, np.stack([planes[one] for one in self.classes])

    def validate(self, path: Path, template: pd.DataFrame, shapes: dict[str, tuple[int, int]]) -> list[str]:
        """All that a competition would refuse: columns, ids, their order, rows that do not decode to their image's shape."""
        table = read_csv(path)
        if list(table.columns) != list(template.columns):
            return [f"columns are {list(table.columns)}, the sample submission has {list(template.columns)}"]
        found, wanted = self._keys(path, table), self._keys(SAMPLE, template)
        there, asked = set(found), set(wanted)
        problems = [f"{self._said(key)} is missing" for key in wanted if key not in there]
        problems += [f"{self._said(key)} is not asked for" for key in found if key not in asked]
        again = pd.Series(found).duplicated()
        problems += [f"{self._said(key)} has two rows" for key, twice in zip(found, again, strict=True) if twice]
        if not problems and found != wanted:
            place = next(n for n, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b)
            problems.append(
                f"the order differs from the sample submission's at row {place + 1}: "
                f"{self._said(found[place])}, not {self._said(wanted[place])}"
            )
        if not problems:
            problems = self._other_cells(table, template)
        problems += self.unreadable(template, shapes)
        if not problems:
            try:
                for _ in self.read(path, shapes):
                    pass
            except InputError as error:
                problems.append(str(error))
        return problems

    def unreadable(self, template: pd.DataFrame, shapes: dict[str, tuple[int, int]]) -> list[str]:
        """A placeholder that this form cannot read: the competition says empty masks in a way that it does not write."""
        row_id, *_, rle = self._find(SAMPLE, template)
        for name, text in zip(template[row_id], template[rle], strict=True):
            try:
                self.form.decode(text, shapes.get(name, (1, 1)))
            except InputError:
                return [
                    f"the sample submission holds {text!r} for {name} in the column {rle!r}, which is no RLE: the "
                    "competition says an empty mask in another way than this submit.dialect, which writes "
                    f"{self.form.empty[0]!r}, or that column is not the one of the RLE (data.rle_column)"
                ]
        return []

    def _texts(self, rows: Iterable[tuple[str, np.ndarray]]) -> Iterator[tuple[Key, str]]:
        for row_id, mask in rows:
            for name, plane in zip(self.classes, mask, strict=True):
                yield (row_id, name), self.form.encode(plane)

    def _find(self, place: object, table: pd.DataFrame) -> list[str]:
        return self.names.find(place, list(table.columns), self.by_class)

    def _keys(self, place: object, table: pd.DataFrame) -> list[Key]:
        row_id, *name, _ = self._find(place, table)
        classes = map(self.names.class_of, table[name[0]]) if name else [self.classes[0]] * len(table)
        return list(zip(table[row_id], classes, strict=True))

    def _other_cells(self, table: pd.DataFrame, template: pd.DataFrame) -> list[str]:
        """A column that is not written and yet differs from the sample submission's."""
        rle = self._find(SAMPLE, template)[-1]
        return [
            f"the column {name!r} is not as the sample submission has it"
            for name in template.columns.drop(rle)
            if table[name].tolist() != template[name].tolist()
        ]

    def _said(self, key: Key) -> str:
        return f"id {key[0]!r}" + (f" class {key[1]!r}" if self.by_class else "")

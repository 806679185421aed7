"""How a csv says a mask: rows of run lengths by id, in one of the forms that competitions use."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tessera import rle
from tessera.errors import InputError


class RleForm(NamedTuple):
    """The text of a mask, for reading and writing alike; `empty` are the cells that say an empty mask."""

    order: rle.Order = "column"
    base: int = 1
    relative: bool = False
    empty: tuple[str, ...] = ("",)

    def encode(self, mask: np.ndarray) -> str:
        """The text of a mask (H, W); an empty one is the first of `empty`.

        Raises InputError when the text would be read as empty: where "1 1" says so, for a mask of its first pixel.
        """
        if not mask.any():
            return self.empty[0]
        text = rle.encode(mask, self.order, self.base, self.relative)
        if text in self.empty:
            raise InputError(f"a mask that is coded {text!r} cannot be said: this form calls it an empty mask")
        return text

    def decode(self, text: str, shape: tuple[int, int]) -> np.ndarray:
        """The mask (H, W) uint8 0/1 of a cell. Raises InputError as `read_runs` does."""
        return self.read_runs(text, shape).rows(0, shape[0])

    def read_runs(self, text: str, shape: tuple[int, int]) -> rle.Runs:
        """The runs of a cell. Raises InputError: no RLE, or an empty cell that `empty` does not list."""
        text = text.strip()
        if text in self.empty:
            text = ""
        elif not text:
            raise InputError(
                f"the cell is empty, an empty mask is said {' or '.join(map(repr, self.empty))} here; "
                "if this is one as well, add it to the list (data.rle_empty)"
            )
        return rle.read_runs(text, shape, self.order, self.base, self.relative)


class Row(NamedTuple):
    """A row of a csv: its line in the file (1 is the header), its class (None without a class column), its cell."""

    line: int
    row_id: str
    class_name: str | None
    text: str


class RleTable(NamedTuple):
    """RLE rows of a csv by id."""

    path: Path
    form: RleForm
    rows: dict[str, list[Row]]

    def read_runs(self, row: Row, shape: tuple[int, int]) -> rle.Runs:
        """The mask of a row of the csv, by its runs. Raises InputError naming file, line and id."""
        try:
            return self.form.read_runs(row.text, shape)
        except InputError as error:
            raise InputError(f"{self.path} line {row.line} (id {row.row_id}): {error}") from None

    def repeated(self, several: bool) -> list[str]:
        """A problem for each further row of one id and class; with `several`, only for one that adds nothing."""
        problems = []
        for rows in self.rows.values():
            seen: dict[str | None, set[str]] = {}
            for row in rows:
                texts = seen.setdefault(row.class_name, set())
                if texts and (not several or row.text in texts):
                    problems.append(f"{self._place(row)} stands there a second time")
                elif texts and not {row.text, *texts}.isdisjoint(self.form.empty):
                    problems.append(f"{self._place(row)} has rows of an empty mask and of one that is not")
                texts.add(row.text)
        return problems

    def _place(self, row: Row) -> str:
        named = "" if row.class_name is None else f" class {row.class_name!r}"
        return f"{self.path} line {row.line}: id {row.row_id!r}{named}"


def read_csv(path: Path, *columns: str, **said: str) -> pd.DataFrame:
    """A csv as text; missing cells are "". Row n of the index stands in line n + 2; lines that are empty have none.

    columns: that it must have; said: likewise, each named by a key of `data:`. Raises InputError: unreadable, rows longer
    than the header, or a column is not there.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False)
    except UnicodeDecodeError:
        raise InputError(
            f"{path}{_first_foreign(path)}: cannot be read as a csv, it is not UTF-8; save it so"
        ) from None
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: cannot be read as a csv ({error})") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas makes an index of what comes first, and moves the rest
        raise InputError(f"{path} line 2: has more cells than the header has names, {', '.join(table.columns)}")
    table = table[(table != "").any(axis=1)]
    wanted = dict.fromkeys(columns, "") | {column: f" (data.{key})" for key, column in said.items()}
    for column, key in wanted.items():
        if column not in table.columns:
            raise InputError(f"{path}: has no column {column!r}{key}; its columns are {', '.join(table.columns)}")
    return table


def _first_foreign(path: Path) -> str:
    """Where a file stops being UTF-8."""
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if line != line.decode("utf-8", "ignore").encode():
            return f" line {number}"
    return ""


def read_rle_table(
    path: Path,
    id_column: str,
    rle_column: str,
    form: RleForm,
    class_column: str | None = None,
    id_ending: str = "",
) -> RleTable:
    """The RLE rows of a csv; `id_ending` is taken off the ids (a file name's `.jpg`).

    Raises InputError: unreadable, a column is not there, or no rows.
    """
    by_class = {"class_column": class_column} if class_column else {}
    table = read_csv(path, id=id_column, rle_column=rle_column, **by_class)
    if table.empty:
        raise InputError(f"{path}: has a header and no rows")
    ids = table[id_column].str.removesuffix(id_ending)
    classes = table[class_column] if class_column else [None] * len(table)
    rows: dict[str, list[Row]] = {}
    for line, row_id, name, text in zip(table.index + 2, ids, classes, table[rle_column], strict=True):
        rows.setdefault(row_id, []).append(Row(line, row_id, name, text.strip()))
    return RleTable(path, form, rows)

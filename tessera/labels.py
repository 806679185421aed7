"""How a csv says a mask: one RLE row an image or slice."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tessera import rle
from tessera.errors import InputError


class RleTable(NamedTuple):
    """RLE rows of a csv by id, and where each stands in the file (line 1 is the header)."""

    path: Path
    rows: dict[str, str]
    lines: dict[str, int]
    duplicates: list[str]

    def decode(self, row_id: str, shape: tuple[int, int], order: rle.Order, base: int) -> np.ndarray:
        """The mask (H, W) uint8 0/1 of a row. Raises InputError naming file, line and id."""
        try:
            return rle.decode(self.rows[row_id], shape, order, base)
        except InputError as error:
            raise InputError(f"{self.path} line {self.lines[row_id]} (id {row_id}): {error}") from None


def read_csv(path: Path, *columns: str) -> pd.DataFrame:
    """A csv as text; missing cells are "". Raises InputError: unreadable, or a column is not there."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: cannot be read as a csv ({error})") from None
    for column in columns:
        if column not in table.columns:
            raise InputError(f"{path}: has no column {column!r}; its columns are {', '.join(table.columns)}")
    return table


def read_rle_table(path: Path, id_column: str, rle_column: str) -> RleTable:
    """The RLE rows of a csv; an empty cell is an empty mask."""
    table = read_csv(path, id_column, rle_column)
    ids = table[id_column]
    lines = {row_id: line for line, row_id in enumerate(ids, 2)}
    problems = [
        f"{path} line {line}: id {row_id!r} stands there a second time"
        for line, row_id, again in zip(range(2, len(ids) + 2), ids, ids.duplicated(), strict=True)
        if again
    ]
    return RleTable(path, dict(zip(ids, table[rle_column], strict=True)), lines, problems)

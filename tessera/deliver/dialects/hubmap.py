"""HuBMAP's submission: `id,rle` (whatever the second column is called), column-major, 1-based, empty cells for empty masks."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from tessera import rle
from tessera.errors import InputError
from tessera.labels import read_csv


def write(path: Path, columns: list[str], rows: Iterable[tuple[str, np.ndarray]]) -> None:
    """Writes (row_id, mask (C, H, W) bool) rows as they come; C must be 1."""
    with open(path, "w", newline="\n") as file:
        file.write(",".join(columns) + "\n")
        for row_id, (mask,) in rows:
            file.write(f"{row_id},{rle.encode(mask)}\n")


def read(path: Path, shapes: dict[str, tuple[int, int]]) -> Iterable[tuple[str, np.ndarray]]:
    """(row_id, mask (1, H, W) bool) of each row. Raises InputError for a row that cannot be decoded."""
    table = read_csv(path)
    for line, (row_id, text) in enumerate(zip(table.iloc[:, 0], table.iloc[:, 1], strict=True), 2):
        if row_id not in shapes:
            raise InputError(f"{path} line {line}: id {row_id!r} has no image")
        try:
            yield row_id, rle.decode(text, shapes[row_id]).astype(bool)[None]
        except InputError as error:
            raise InputError(f"{path} line {line} (id {row_id}): {error}") from None


def validate(path: Path, template: pd.DataFrame, shapes: dict[str, tuple[int, int]]) -> list[str]:
    """All that a competition would refuse: columns, ids, their order, and rows that do not decode to their image's shape."""
    table = read_csv(path)
    if list(table.columns) != list(template.columns):
        return [f"columns are {list(table.columns)}, the sample submission has {list(template.columns)}"]
    ids, wanted = table.iloc[:, 0].tolist(), template.iloc[:, 0].tolist()
    there, asked = set(ids), set(wanted)
    problems = [f"id {row_id!r} is missing" for row_id in wanted if row_id not in there]
    problems += [f"id {row_id!r} is not asked for" for row_id in ids if row_id not in asked]
    problems += [f"id {row_id!r} has two rows" for row_id in table.iloc[:, 0][table.iloc[:, 0].duplicated()]]
    if not problems and ids != wanted:
        place = next(n for n, (a, b) in enumerate(zip(ids, wanted, strict=True)) if a != b)
        problems.append(
            f"the order differs from the sample submission's at row {place + 1}: {ids[place]!r}, not {wanted[place]!r}"
        )
    problems += _foreign_empties(template, shapes)
    if problems:
        return problems
    try:
        for _ in read(path, shapes):
            pass
    except InputError as error:
        return [str(error)]
    return []


def _foreign_empties(template: pd.DataFrame, shapes: dict[str, tuple[int, int]]) -> list[str]:
    """A sample submission whose placeholder is no RLE says empty masks in a way that this dialect does not write."""
    for row_id, text in zip(template.iloc[:, 0], template.iloc[:, 1], strict=True):
        try:
            rle.decode(text, shapes.get(row_id, (1, 1)))
        except InputError:
            return [
                f"the sample submission holds {text!r} for {row_id}, which is no RLE: the competition says an empty "
                "mask in another way than submit.dialect hubmap, which leaves the cell empty"
            ]
    return []

"""Writes masks through a submission's writer and checks what was written by reading it back."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tessera.decide.decision import Decision
from tessera.decide.evidence import Evidence
from tessera.decide.units import Units, measure
from tessera.deliver.dialects.rle_csv import RleCsv
from tessera.errors import InputError
from tessera.metrics.score import Score, score_of

if TYPE_CHECKING:
    from tessera.params.data import Data

TOLERANCE = 1e-9  # of a score read back; the masks must be the same


def masks(evidence: Evidence, decisions: dict[str, Decision]) -> Iterator[tuple[str, np.ndarray]]:
    """(row_id, mask (C, H, W) bool) of every row under its decision."""
    for row, mask in evidence.masks_under(decisions):
        yield evidence.rows.row_id[row], mask


def rows_asked_for(rows: pd.DataFrame, template: pd.DataFrame, data: "Data") -> pd.DataFrame:
    """The test rows in the order of the sample submission, under its ids (which end in `data.id_ending`), each once."""
    ids = template[data.id].drop_duplicates(ignore_index=True)
    found = rows.set_index("row_id").loc[ids.str.removesuffix(data.id_ending)]
    return found.reset_index(drop=True).assign(row_id=ids)


def shapes_of(rows: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """row_id → (height, width) in original px."""
    return {row.row_id: (int(row.y1 - row.y0), int(row.x1 - row.x0)) for row in rows.itertuples()}


def check_score(
    path: Path,
    dialect: RleCsv,
    evidence: Evidence,
    decisions: dict[str, Decision],
    score: Score,
    printed: float,
) -> None:
    """Writes OOF masks at `path`, reads them back and requires their score to be the `printed` one (law 8).

    Raises InputError when it is not: what was tuned is then not what would be submitted.
    """
    dialect.write(path, dialect.columns, masks(evidence, decisions))
    number = {row_id: row for row, row_id in evidence.rows.row_id.items()}
    shapes = shapes_of(evidence.rows)
    read = ((number[row_id], mask) for row_id, mask in dialect.read(path, shapes))
    units = Units(evidence.rows, score.unit)
    found = score_of(score, np.stack([one for _, one in measure(evidence, units, score, read)]))
    if abs(found - printed) > TOLERANCE:
        raise InputError(
            f"the OOF submission read back scores {found:.9f}, tune printed {printed:.9f}: rerun `dvc repro tune submit`"
        )

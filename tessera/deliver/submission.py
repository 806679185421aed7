"""Writes masks through a submission's writer and checks what was written by reading it back."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

from tessera.decide.decision import Decision
from tessera.decide.evidence import Evidence
from tessera.errors import InputError
from tessera.metrics.counts import DiceScore, count

TOLERANCE = 1e-9  # of a score read back; the masks must be the same


def masks(evidence: Evidence, decisions: dict[str, Decision]) -> Iterator[tuple[str, np.ndarray]]:
    """(row_id, mask (C, H, W) bool) of every row under its decision."""
    for row, row_id in evidence.rows.row_id.items():
        yield row_id, evidence.mask(row, decisions[row_id])


def shapes_of(rows: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """row_id → (height, width) in original px."""
    return {row.row_id: (int(row.y1 - row.y0), int(row.x1 - row.x0)) for row in rows.itertuples()}


def check_score(
    path: Path,
    dialect: ModuleType,
    evidence: Evidence,
    decisions: dict[str, Decision],
    score: DiceScore,
    printed: float,
) -> None:
    """Writes OOF masks at `path`, reads them back and requires their score to be the `printed` one (law 8).

    Raises InputError when it is not: what was tuned is then not what would be submitted.
    """
    dialect.write(path, ["id", "rle"], masks(evidence, decisions))
    number = {row_id: row for row, row_id in evidence.rows.row_id.items()}
    shapes = shapes_of(evidence.rows)
    counts = np.stack([count(mask, *evidence.truth(number[row_id])) for row_id, mask in dialect.read(path, shapes)])
    found = score.of(counts)
    if abs(found - printed) > TOLERANCE:
        raise InputError(
            f"the OOF submission read back scores {found:.9f}, tune printed {printed:.9f}: rerun `dvc repro tune submit`"
        )

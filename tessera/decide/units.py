"""What a score is measured on: rows, or items (all rows of a volume) where the score needs them whole."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tessera.metrics.score import Score

if TYPE_CHECKING:
    from tessera.decide.evidence import Evidence


class Units:
    """about: a line a unit, in the order of their first rows: name, group, fold, stratum, domain. of_row: the unit that
    each row belongs to."""

    def __init__(self, rows: pd.DataFrame, unit: str):
        names = rows.row_id if unit == "row" else rows["item"]
        self.of_row = pd.factorize(names)[0]
        columns = ["name", "group", "fold", "stratum", "domain"]
        self.about = rows.assign(name=names).drop_duplicates("name")[columns].reset_index(drop=True)

    def __len__(self) -> int:
        return len(self.about)

    def rows(self, units: np.ndarray) -> np.ndarray:
        """The rows of units, in order."""
        return np.flatnonzero(np.isin(self.of_row, units))

    def collect(self, rows: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[int, list[int], list[np.ndarray]]]:
        """(unit, its rows in order, what came with them) as soon as a unit's last row is there."""
        sizes, waiting = np.bincount(self.of_row), {}
        for row, array in rows:
            unit = int(self.of_row[row])
            found = waiting.setdefault(unit, {})
            found[row] = array
            if len(found) == sizes[unit]:
                order = sorted(found)
                yield unit, order, [found[one] for one in order]
                del waiting[unit]


def measure(
    evidence: "Evidence", units: Units, score: Score, masks: Iterable[tuple[int, np.ndarray]]
) -> Iterator[tuple[int, np.ndarray]]:
    """(unit, statistics (C, K)) of masks (row, (C, H, W) bool). Holds a unit's masks until its last row is there."""
    for unit, rows, found in units.collect(masks):
        yield unit, measure_unit(score, found, [evidence.truth(row) for row in rows], evidence.spacing(rows[0]))


def measure_unit(score: Score, masks: list[np.ndarray], truth: list[tuple], spacing: tuple[float, ...]) -> np.ndarray:
    """Statistics (C, K) of a unit, from the mask, and target and valid, (C, H, W) bool, of each of its rows."""
    if score.unit == "row":
        return score.measure(masks[0], *truth[0], spacing[1:])
    target, valid = (np.stack(planes, 1) for planes in zip(*truth, strict=True))
    return score.measure(np.stack(masks, 1), target, valid, spacing)

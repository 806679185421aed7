"""What a score is measured on: rows, or items (all rows of a volume) where the score needs them whole."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tessera.metrics.score import Score

if TYPE_CHECKING:
    from tessera.decide.evidence import Evidence


class Units:
    """about: a line a unit, in the order of their first rows: name, group, fold, stratum, domain; of_row: the unit that
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

    def add(self, values: np.ndarray) -> np.ndarray:
        """Values (rows, ...) of all rows, summed over the rows of each unit: (units, ...)."""
        if len(values) == len(self):
            return values
        total = np.zeros((len(self), *values.shape[1:]), values.dtype)
        np.add.at(total, self.of_row, values)
        return total

    def collect(self, rows: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[int, list[int], list[np.ndarray]]]:
        """(unit, its rows in order, their masks) as soon as a unit's last row is there."""
        sizes, waiting = np.bincount(self.of_row), {}
        for row, mask in rows:
            unit = int(self.of_row[row])
            found = waiting.setdefault(unit, {})
            found[row] = mask
            if len(found) == sizes[unit]:
                order = sorted(found)
                yield unit, order, [found[one] for one in order]
                del waiting[unit]


def measure(
    evidence: "Evidence", units: Units, score: Score, masks: Iterable[tuple[int, np.ndarray]]
) -> Iterator[tuple[int, np.ndarray]]:
    """(unit, statistics (C, K)) of masks (row, (C, H, W) bool); holds the masks of one unit, where its rows come together."""
    for unit, rows, found in units.collect(masks):
        truth, spacing = [evidence.truth(row) for row in rows], evidence.spacing(rows[0])
        if score.unit == "row":
            yield unit, score.measure(found[0], *truth[0], spacing[1:])
        else:
            target, valid = (np.stack(planes, 1) for planes in zip(*truth, strict=True))
            yield unit, score.measure(np.stack(found, 1), target, valid, spacing)

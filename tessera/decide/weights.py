"""All combinations of the models' weights, scored nearly, by coarse joint histograms."""

import itertools
import math

import numpy as np
import pandas as pd
from tqdm import tqdm

from tessera.decide.blending import BLENDS
from tessera.decide.histograms import counts_by_threshold, states
from tessera.decide.joint import LEVELS, coarse_histograms, joint_cells
from tessera.decide.levels import Rule, best_levels
from tessera.decide.tables import Tables
from tessera.errors import InputError
from tessera.metrics.counts import FScore

MOST_WEIGHTS = 5000  # combinations; beyond it a search takes hours
_CHUNK = 2**24  # bytes of statistics that are looked at together


def simplex(models: int, step: float) -> np.ndarray:
    """All weights (N, models) that are multiples of `step` and sum to 1. Raises InputError beyond `MOST_WEIGHTS`."""
    parts = round(1 / step)
    number = math.comb(parts + models - 1, models - 1)
    if number > MOST_WEIGHTS:
        raise InputError(
            f"tune.step {step} over {models} models gives {number} combinations, more than {MOST_WEIGHTS}; raise tune.step"
        )
    bars = itertools.combinations(range(parts + models - 1), models - 1)  # stars and bars
    edges = np.array([(-1, *row, parts + models - 1) for row in bars])
    return (np.diff(edges) - 1) / parts


class Combinations:
    """Statistics (W, units, C, levels, K) of every combination of weights (W, M), from one pass over the evidence.

    They are coarse, and they are all that is held: 170 KB a unit and class for 231 combinations, whatever the size of the
    images. A score that does not follow from counts is stood in for by pooled Dice.
    """

    def __init__(self, tables: Tables, weights: np.ndarray, views: tuple[str, ...], blend: str):
        evidence, units = tables.evidence, tables.units
        self.weights = weights
        self.score = tables.score if tables.score.from_counts else FScore("pooled", 1.0)
        counts = np.zeros((len(weights), len(units), evidence.task.channels, LEVELS - 1, 3), np.float32)
        for row in tqdm(evidence.rows.index, "joint histograms", unit="row", leave=False, disable=None):
            maps = BLENDS[blend](evidence.maps(row, evidence.models, list(views)))
            for c, cells in enumerate(joint_cells(maps, states(*evidence.truth(row)))):
                counts[:, units.of_row[row], c] += counts_by_threshold(coarse_histograms(cells, weights))
        self.statistics = np.stack([self.score.statistics(one).astype(np.float32) for one in counts])

    def scores(self, units: np.ndarray, about: pd.DataFrame, rule: Rule, allowed: np.ndarray) -> np.ndarray:
        """The score of each allowed combination (numbers) at its best levels, on units (numbers) that `about` tells of."""
        names = rule.names(about)
        member = np.stack([names == name for name in sorted(set(map(str, names)))]).astype(np.float32)  # (S, units)
        return np.concatenate([self._scores(some, units, member, rule) for some in self._chunks(allowed)])

    def _chunks(self, allowed: np.ndarray) -> list[np.ndarray]:
        return np.array_split(allowed, max(1, len(allowed) * self.statistics[0].nbytes // _CHUNK))

    def _scores(self, some: np.ndarray, units: np.ndarray, member: np.ndarray, rule: Rule) -> np.ndarray:
        """The best scores (len(some),) that levels by stratum, member (S, units), give."""
        of_units = self.statistics[some][:, units]  # (W, units, C, L, K)
        by_name = np.moveaxis(np.tensordot(member, of_units, (1, 1)), 0, 1).astype(np.float64)  # (W, S, C, L, K)
        flat = rule.shared(by_name.reshape(-1, *by_name.shape[2:]))
        shared = np.moveaxis(flat.reshape(*by_name.shape[:2], *flat.shape[1:]), 1, 2)  # (W, A, S, L, J, K)

        def judge(statistics: np.ndarray) -> np.ndarray:
            return self.score.finish(statistics).mean(-1)

        chosen = best_levels(shared, judge)
        picked = np.take_along_axis(shared, chosen[..., None, None, None], 3)[:, :, :, 0].sum(2)  # (W, A, J, K)
        return judge(picked).mean(-1)

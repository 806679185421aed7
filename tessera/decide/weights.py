"""All combinations of the models' weights, scored nearly, by coarse joint histograms."""

import itertools

import numpy as np
import pandas as pd
from tqdm import tqdm

from tessera.decide.blending import BLENDS
from tessera.decide.histograms import counts_by_threshold, states
from tessera.decide.joint import LEVELS, coarse_histograms, joint_cells
from tessera.decide.levels import Rule, best_levels
from tessera.decide.tables import Tables
from tessera.metrics.counts import FScore

_CHUNK = 2**24  # bytes of statistics that are looked at together


def simplex(models: int, step: float) -> np.ndarray:
    """All weights (N, models) that are multiples of `step` and sum to 1."""
    parts = round(1 / step)
    bars = itertools.combinations(range(parts + models - 1), models - 1)  # stars and bars
    edges = np.array([(-1, *row, parts + models - 1) for row in bars])
    return (np.diff(edges) - 1) / parts


class Combinations:
    """Statistics (W, blocks, C, levels, K) of every combination of weights (W, M), from one pass over the evidence.

    A block is all units of a fold, stratum and domain: they are held out together and share their levels. With fewer than
    four folds, of which a search without one leaves too few to hold out a second, of a group as well. What is held are
    coarse sums, 170 KB a block and class for 231 combinations, whatever the size of the images and however many slices a
    volume has. A score that does not follow from counts is stood in for by pooled Dice.
    """

    def __init__(self, tables: Tables, weights: np.ndarray, views: tuple[str, ...], blend: str):
        evidence, units = tables.evidence, tables.units
        self.weights = weights
        self.score = tables.score if tables.score.from_counts else FScore("pooled", 1.0)
        together = ["fold", "stratum", "domain"] + ["group"] * (units.about.fold.nunique() < 4)
        self.block = units.about.groupby(together).ngroup().to_numpy()  # of each unit
        kinds = self.score.statistics(np.zeros(3)).shape[-1]
        shape = len(weights), self.block.max() + 1, evidence.task.channels, LEVELS - 1, kinds
        self.statistics = np.zeros(shape, np.float32)
        for row in tqdm(evidence.rows.index, "joint histograms", unit="row", leave=False, disable=None):
            maps = BLENDS[blend](evidence.maps(row, evidence.models, list(views)))
            for c, cells in enumerate(joint_cells(maps, states(*evidence.truth(row)))):
                counts = counts_by_threshold(coarse_histograms(cells, weights))
                self.statistics[:, self.block[units.of_row[row]], c] += self.score.statistics(counts)

    def scores(self, units: np.ndarray, about: pd.DataFrame, rule: Rule, allowed: np.ndarray) -> np.ndarray:
        """The score of each allowed combination (numbers) at its best levels, on units (numbers) that `about` tells of."""
        blocks, first = np.unique(self.block[units], return_index=True)
        assert np.isin(self.block, blocks).sum() == len(units), "a block is in or out as a whole"
        names = rule.names(about)[first]
        member = np.stack([names == name for name in sorted(set(map(str, names)))]).astype(np.float32)  # (S, blocks)
        return np.concatenate([self._scores(some, blocks, member, rule) for some in self._chunks(allowed)])

    def _chunks(self, allowed: np.ndarray) -> list[np.ndarray]:
        return np.array_split(allowed, max(1, len(allowed) * self.statistics[0].nbytes // _CHUNK))

    def _scores(self, some: np.ndarray, blocks: np.ndarray, member: np.ndarray, rule: Rule) -> np.ndarray:
        """The best scores (len(some),) that levels by stratum, member (S, blocks), give."""
        of_blocks = self.statistics[some][:, blocks]  # (W, blocks, C, L, K)
        by_name = np.moveaxis(np.tensordot(member, of_blocks, (1, 1)), 0, 1).astype(np.float64)  # (W, S, C, L, K)
        flat = rule.shared(by_name.reshape(-1, *by_name.shape[2:]))
        shared = np.moveaxis(flat.reshape(*by_name.shape[:2], *flat.shape[1:]), 1, 2)  # (W, A, S, L, J, K)

        def judge(statistics: np.ndarray) -> np.ndarray:
            return self.score.finish(statistics).mean(-1)

        chosen = best_levels(shared, judge)
        picked = np.take_along_axis(shared, chosen[..., None, None, None], 3)[:, :, :, 0].sum(2)  # (W, A, J, K)
        return judge(picked).mean(-1)

"""Statistics of units at many levels of a cut, read once from the evidence and kept."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from tessera.decide.blending import BLENDS, blend
from tessera.decide.cuts.build import COUNTS, CUTS
from tessera.decide.decision import EVERYWHERE, Decision
from tessera.decide.evidence import Evidence
from tessera.decide.histograms import counts_by_threshold, histogram, states
from tessera.decide.levels import Table
from tessera.decide.units import Units, measure, measure_unit
from tessera.metrics.score import Score

THRESHOLDS = list(range(1, 256))


class Mix(NamedTuple):
    """What is cut: the views, how models are blended, and the share of each of the evidence's models."""

    views: tuple[str, ...]
    blend: str
    weights: tuple[float, ...]


class Tables:
    """Statistics of an evidence's units by mix and level. What has been read is kept, a few KB a unit, class and mix;
    pixels are not.

    exact: every threshold is known from one histogram a row. Otherwise levels are looked at as they are asked for.
    """

    def __init__(self, evidence: Evidence, score: Score, cut: str):
        self.evidence, self.score, self.cut = evidence, score, cut
        self.units = Units(evidence.rows, score.unit)
        self.exact = score.from_counts and cut == "threshold"
        self._kept: dict[Mix, dict[str, np.ndarray]] = {}  # level → (units, C, K); exact: "" → histograms
        self._measured: dict[tuple, np.ndarray] = {}  # (C, K)

    def table(self, mix: Mix, units: np.ndarray, levels: list) -> Table:
        """Statistics of units (numbers) at the levels; at all there are if `exact`."""
        self.read([mix], levels)
        if self.exact:
            counts = counts_by_threshold(self.histograms(mix)[self.units.rows(units)])
            ...
        return Table(levels, np.stack([self._kept[mix][str(level)][units] for level in levels], 2))

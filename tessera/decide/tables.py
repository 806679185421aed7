"""Statistics of units at many levels of a cut, read once from the evidence and kept."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from tessera.decide.blending import BLENDS, blend
from tessera.decide.cuts.build import CUTS
from tessera.decide.decision import EVERYWHERE, Decision
from tessera.decide.evidence import Evidence
from tessera.decide.grids import COUNTS
from tessera.decide.histograms import counts_by_threshold, histogram
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
    """Statistics of an evidence's units by mix and level. What was read is kept, a few KB a unit, class and mix; pixels
    are not.

    exact: one histogram a unit tells the statistics at every threshold. Else levels are read as they are asked for.
    """

    def __init__(self, evidence: Evidence, score: Score, cut: str):
        self.evidence, self.score, self.cut = evidence, score, cut
        self.units = Units(evidence.rows, score.unit)
        self.exact = score.from_counts and cut == "threshold"
        self.histograms: dict[Mix, np.ndarray] = {}  # (units, C, 2, 256) uint32
        self._levels: dict[Mix, dict[str, np.ndarray]] = {}  # level → (units, C, K)
        self._masks: dict[tuple, np.ndarray] = {}  # (C, K)

    def table(self, mix: Mix, units: np.ndarray, levels: list) -> Table:
        """Statistics of units (numbers) at the levels; at every threshold if `exact`."""
        self.read([mix], levels)
        if self.exact:
            return Table(THRESHOLDS, self.score.statistics(counts_by_threshold(self.histograms[mix][units])))
        return Table(levels, np.stack([self._levels[mix][str(level)][units] for level in levels], 2))

    def read(self, mixes: Iterable[Mix], levels: list) -> None:
        """Reads what is new of it, all units in one pass over the pixels."""
        new = {}
        for mix in dict.fromkeys(mixes):
            lacking = [level for level in levels if str(level) not in self._levels.get(mix, {})]
            if mix not in self.histograms if self.exact else lacking:
                new[mix] = lacking
        if not new:
            return
        classes = self.evidence.task.channels
        if self.exact:
            self.histograms |= {mix: np.zeros((len(self.units), classes, 2, 256), np.uint32) for mix in new}
        rows = tqdm(self.evidence.rows.index, "levels", unit="row", leave=False, disable=None)
        for unit, of_unit, _ in self.units.collect((row, row) for row in rows):
            truth = [self.evidence.truth(row) for row in of_unit]
            for mix, lacking in new.items():
                blended = [self.blended(mix, row) for row in of_unit]
                if self.exact:
                    self.histograms[mix][unit] = sum(map(histogram, blended, *zip(*truth, strict=True)))
                    continue
                found = self._at_levels(blended, truth, lacking, self.evidence.spacing(of_unit[0]))
                kept = self._levels.setdefault(mix, {})
                for level, statistics in zip(lacking, found, strict=True):
                    kept.setdefault(str(level), np.empty((len(self.units), *statistics.shape)))[unit] = statistics

    @property
    def nbytes(self) -> int:
        """Bytes of what is kept."""
        kept = [
            *self.histograms.values(),
            *self._masks.values(),
            *(a for one in self._levels.values() for a in one.values()),
        ]
        return sum(array.nbytes for array in kept)

    def blended(self, mix: Mix, row: int) -> np.ndarray:
        """The blended map (C, H, W) uint8 of a row."""
        used = [(model, share) for model, share in zip(self.evidence.models, mix.weights, strict=True) if share > 0]
        maps = self.evidence.maps(row, [model for model, _ in used], list(mix.views))
        return blend(BLENDS[mix.blend](maps), [share for _, share in used])

    def _at_levels(self, blended: list, truth: list, levels: list, spacing: tuple[float, ...]) -> Iterable[np.ndarray]:
        """Statistics (C, K) of a unit at each level."""
        if self.score.from_counts and self.cut in COUNTS:
            counts = sum(COUNTS[self.cut](one, *of_row, levels) for one, of_row in zip(blended, truth, strict=True))
            return self.score.statistics(counts)
        cut = CUTS[self.cut]
        return (
            measure_unit(self.score, [cut(one, [level] * len(one)) for one in blended], truth, spacing)
            for level in levels
        )

    def decision(self, mix: Mix, levels: dict[str, list], by: str, steps: dict[str, object]) -> Decision:
        """The decision that these make."""
        weights = dict(zip(self.evidence.models, mix.weights, strict=True))
        return Decision(weights, list(mix.views), mix.blend, self.cut, by, levels, steps)

    def measure(self, decision: Decision, units: np.ndarray) -> np.ndarray:
        """Statistics (units, C, K) of units (numbers) under a decision, from its masks."""
        names = self.units.about[decision.by].tolist() if decision.by else [EVERYWHERE] * len(self.units)
        keys = {int(unit): self._key(decision, int(unit), names[unit]) for unit in units}
        rows = self.units.rows(np.array([unit for unit, key in keys.items() if key not in self._masks], int))
        masks = tqdm(self.evidence.masks(decision, rows), "masks", len(rows), unit="row", leave=False, disable=None)
        for unit, statistics in measure(self.evidence, self.units, self.score, masks):
            self._masks[keys[unit]] = statistics
        return np.stack([self._masks[key] for key in keys.values()])

    @staticmethod
    def _key(decision: Decision, unit: int, name: str) -> tuple:
        """All that the masks of a unit depend on; name: its stratum or domain."""
        mix = tuple(decision.weights.items()), tuple(decision.views), decision.blend
        return unit, mix, decision.cut, str(decision.levels_of(name)), str(decision.steps)

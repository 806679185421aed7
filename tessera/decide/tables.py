"""Statistics of units at many levels of a cut, read once from the evidence and kept."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from tessera.decide.blending import BLENDS, blend
from tessera.decide.cuts.build import CUTS, FROM_HISTOGRAMS
from tessera.decide.cuts.hysteresis import hysteresis_counts
from tessera.decide.decision import EVERYWHERE, Decision
from tessera.decide.evidence import Evidence
from tessera.decide.grids import COARSE, DENSE
from tessera.decide.histograms import counts_by_threshold, histogram, histogram_of_states
from tessera.decide.levels import Table
from tessera.decide.step_counts import counted, step_counts
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

    exact: one histogram a unit tells the statistics at every threshold. counted: the counts of many levels come at once,
    for `FROM_HISTOGRAMS` from one histogram a row. Otherwise each level is a mask to be measured.
    """

    def __init__(self, evidence: Evidence, score: Score, cut: str):
        self.evidence, self.score, self.cut = evidence, score, cut
        self.units = Units(evidence.rows, score.unit)
        self.exact = score.from_counts and cut == "threshold"
        self.counted = score.from_counts and cut in DENSE
        self.histograms: dict[Mix, np.ndarray] = {}  # (units, C, 2, 256) uint32
        self._levels: dict[Mix, dict[str, np.ndarray]] = {}  # level → (units, C, K)
        self._of_rows: dict[tuple[Mix, int], np.ndarray] = {}  # of a row: (C, 3, 256) uint32
        self._masks: dict[tuple, np.ndarray] = {}  # (C, K)

    @property
    def levels(self) -> list:
        """Those that a search begins with."""
        return THRESHOLDS if self.exact else (DENSE if self.counted else COARSE)[self.cut]

    def table(self, mix: Mix, units: np.ndarray, levels: list) -> Table:
        """Statistics of units (numbers) at the levels; at every threshold if `exact`."""
        self.read([mix], levels)
        if self.exact:
            return Table(THRESHOLDS, self.score.statistics(counts_by_threshold(self.histograms[mix][units])))
        return Table(levels, np.stack([self._levels[mix][str(level)][units] for level in levels], 2))

    def read(self, mixes: Iterable[Mix], levels: list) -> None:
        """Reads what is new of it, all units in one pass over the pixels."""
        if self.exact:
            self._read_histograms([mix for mix in dict.fromkeys(mixes) if mix not in self.histograms])
            return
        kept = {mix: self._levels.setdefault(mix, {}) for mix in mixes}
        self._read_levels({mix: [one for one in levels if str(one) not in known] for mix, known in kept.items()})

    def _read_histograms(self, mixes: list[Mix]) -> None:
        shape = len(self.units), self.evidence.task.channels, 2, 256
        self.histograms |= {mix: np.zeros(shape, np.uint32) for mix in mixes}
        alike = {(mix.views, mix.blend) for mix in mixes}
        for row in tqdm(self.evidence.rows.index if mixes else [], "histograms", unit="row", leave=False, disable=None):
            truth = self.evidence.truth(row)
            for views, name in sorted(alike):
                some = [mix for mix in mixes if (mix.views, mix.blend) == (views, name)]
                used = np.flatnonzero(np.any([mix.weights for mix in some], 0))
                maps = self.evidence.maps(row, [self.evidence.models[number] for number in used], list(views))
                maps = BLENDS[name](maps)
                for mix in some:
                    found = histogram(blend(maps, [mix.weights[number] for number in used]), *truth)
                    self.histograms[mix][self.units.of_row[row]] += found.astype(np.uint32)

    def _read_levels(self, new: dict[Mix, list]) -> None:
        new = {mix: levels for mix, levels in new.items() if levels}
        rows = tqdm(self.evidence.rows.index if new else [], "levels", unit="row", leave=False, disable=None)
        for unit, of_unit, _ in self.units.collect((row, row) for row in rows):
            truth = cache(self.evidence.truth)  # which all mixes share
            for mix, levels in new.items():
                found = self._at_levels(mix, of_unit, truth, levels)
                for level, statistics in zip(levels, found, strict=True):
                    kept = self._levels[mix].setdefault(str(level), np.empty((len(self.units), *statistics.shape)))
                    kept[unit] = statistics

    def _blended(self, mix: Mix, row: int) -> np.ndarray:
        """The blended map (C, H, W) uint8 of a row."""
        used = [(model, share) for model, share in zip(self.evidence.models, mix.weights, strict=True) if share > 0]
        maps = self.evidence.maps(row, [model for model, _ in used], list(mix.views))
        return blend(BLENDS[mix.blend](maps), [share for _, share in used])

    @property
    def nbytes(self) -> int:
        """Bytes of what is kept."""
        kept = [
            *self.histograms.values(),
            *self._of_rows.values(),
            *self._masks.values(),
            *(a for one in self._levels.values() for a in one.values()),
        ]
        return sum(array.nbytes for array in kept)

    def _at_levels(self, mix: Mix, rows: list[int], truth: Callable, levels: list) -> Iterator[np.ndarray]:
        """Statistics (C, K) of a unit at each level."""
        if self.counted:
            yield from self.score.statistics(sum(self._counts(mix, row, truth, levels) for row in rows))
            return
        cut, spacing = CUTS[self.cut], self.evidence.spacing(rows[0])
        blended, of_rows = [self._blended(mix, row) for row in rows], [truth(row) for row in rows]
        measured: dict[bytes, np.ndarray] = {}  # by its masks: many levels cut alike, triplets above all
        for level in levels:
            masks = [cut(one, [level] * len(one)) for one in blended]
            key = sha256(b"".join(np.packbits(mask).tobytes() for mask in masks)).digest()
            if key not in measured:
                measured[key] = measure_unit(self.score, masks, of_rows, spacing)
            yield measured[key]

    def _counts(self, mix: Mix, row: int, truth: Callable, levels: list) -> np.ndarray:
        """Counts (L, C, 3) of a row."""
        if self.cut not in FROM_HISTOGRAMS:
            return hysteresis_counts(self._blended(mix, row), *truth(row), levels)
        if (mix, row) not in self._of_rows:
            found = histogram_of_states(self._blended(mix, row), *truth(row))
            self._of_rows[mix, row] = found.astype(np.uint32)
        return FROM_HISTOGRAMS[self.cut](self._of_rows[mix, row], levels)

    def decision(self, mix: Mix, levels: dict[str, list], by: str, steps: dict[str, object]) -> Decision:
        """The decision that these make."""
        weights = dict(zip(self.evidence.models, mix.weights, strict=True))
        return Decision(weights, list(mix.views), mix.blend, self.cut, by, levels, steps)

    def with_values(self, decision: Decision, step: str, values: list, units: np.ndarray) -> list[Decision]:
        """The decision with each value of a step; `measure` of them on units (numbers) takes one pass where counts tell."""
        options = [replace(decision, steps=decision.steps | {step: value}) for value in values]
        if self.score.from_counts and counted(step, decision):
            of_options = [self._keys(option, units) for option in options]
            rows = self._missing(of_options[-1])  # all are read together
            found = step_counts(self.evidence, decision, step, values, rows)
            for row, counts in tqdm(found, step, len(rows), unit="row", leave=False, disable=None):
                for keys, statistics in zip(of_options, self.score.statistics(counts), strict=True):
                    self._masks[keys[int(self.units.of_row[row])]] = statistics
        return options

    def measure(self, decision: Decision, units: np.ndarray) -> np.ndarray:
        """Statistics (units, C, K) of units (numbers) under a decision, from its masks."""
        keys = self._keys(decision, units)
        rows = self._missing(keys)
        masks = tqdm(self.evidence.masks(decision, rows), "masks", len(rows), unit="row", leave=False, disable=None)
        for unit, statistics in measure(self.evidence, self.units, self.score, masks):
            self._masks[keys[unit]] = statistics
        return np.stack([self._masks[key] for key in keys.values()])

    def _missing(self, keys: dict[int, tuple]) -> np.ndarray:
        """The rows of units whose masks were not measured."""
        return self.units.rows(np.array([unit for unit, key in keys.items() if key not in self._masks], int))

    def _keys(self, decision: Decision, units: np.ndarray) -> dict[int, tuple]:
        """By unit (number) all that its masks depend on."""
        names = self.units.about[decision.by].tolist() if decision.by else [EVERYWHERE] * len(self.units)
        mix = tuple(decision.weights.items()), tuple(decision.views), decision.blend
        how = *mix, decision.cut, str(sorted(decision.steps.items()))
        return {int(unit): (int(unit), how, str(decision.levels_of(names[unit]))) for unit in units}

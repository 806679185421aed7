"""Searches weights, levels and steps that score best on a set of rows."""

import itertools
import math
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from tessera.decide.blending import blend
from tessera.decide.decision import EVERYWHERE, Decision
from tessera.decide.evidence import Evidence
from tessera.decide.histograms import counts_by_threshold, histogram
from tessera.decide.steps.min_area import count_areas
from tessera.errors import InputError
from tessera.metrics.counts import FScore, count

MOST_WEIGHTS = 5000  # combinations; beyond it a search takes hours


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


def best_thresholds(statistics: np.ndarray, score: FScore) -> np.ndarray:
    """The indices (S,) of thresholds, one a stratum, that together score best.

    statistics: (S, 255, K), summed over each stratum's rows. Coordinate ascent from the best common threshold: never
    below it, and exact where the score is a mean of rows. Of equally good thresholds the middle one is taken.
    """
    strata = np.arange(len(statistics))
    chosen = np.full(len(statistics), _middle_of_best(score.finish(statistics.sum(0))))
    while True:
        before = chosen.copy()
        for s in strata if len(strata) > 1 else []:
            rest = statistics[strata != s, chosen[strata != s]].sum(0)
            curve = score.finish(rest + statistics[s])
            if curve.max() > curve[chosen[s]]:
                chosen[s] = _middle_of_best(curve)
        if (chosen == before).all():
            return chosen


def _middle_of_best(curve: np.ndarray) -> int:
    best = np.flatnonzero(curve >= curve.max() - 1e-12)
    return int(best[len(best) // 2])


class Search:
    """Decides on subsets of the rows of `evidence`; reads all pixels once, when it is made."""

    def __init__(self, evidence: Evidence, weights: np.ndarray, by: str, steps: dict[str, list], score: FScore):
        self.evidence, self.weights, self.by, self.score = evidence, weights, by, score
        self.areas = [0, *sorted(steps.get("min_area", []))]  # 0: off
        self.strata = evidence.rows[by].to_numpy() if by else np.full(len(evidence.rows), EVERYWHERE)
        self.histograms = self._histograms()  # (weights, rows, C, 2, 256)

    def _histograms(self) -> np.ndarray:
        rows, channels = len(self.evidence.rows), self.evidence.task.channels
        found = np.empty((len(self.weights), rows, channels, 2, 256), np.uint32)
        for row in tqdm(self.evidence.rows.index, desc="histograms", unit="row", disable=None):
            maps = self.evidence.maps(row, self.evidence.models, self.evidence.views)
            truth = self.evidence.truth(row)
            for w, weights in enumerate(self.weights):
                found[w, row] = histogram(blend(maps, list(weights)), *truth)
        return found

    def decide(self, rows: np.ndarray, candidates: np.ndarray | None = None) -> Decision:
        """The best decision on `rows` (indices), among all weights or the `candidates` (indices of weights).

        The best weights and every single model are compared with their own minimum area, so that an ensemble never
        does worse on these rows than one of its models.
        """
        strata = sorted(set(map(str, self.strata[rows])))
        options = [
            self._thresholds(w, rows, strata) for w in (range(len(self.weights)) if candidates is None else candidates)
        ]
        best = max(score for score, _, _ in options)
        decided = [
            self._with_area(self._decision(w, thresholds, rows, strata), rows)
            for score, w, thresholds in options
            if score == best or self.weights[w].max() == 1
        ]
        return max(decided, key=lambda one: one[0])[1]

    def _decision(self, w: int, thresholds: np.ndarray, rows: np.ndarray, strata: list[str]) -> Decision:
        """The decision of the weights numbered w with threshold indices (S, C), nothing removed."""
        by_stratum = {name: [int(t) + 1 for t in chosen] for name, chosen in zip(strata, thresholds, strict=True)}
        if EVERYWHERE not in by_stratum:  # for a stratum that these rows have not
            common = self._thresholds(w, rows, [EVERYWHERE])[2]
            by_stratum[EVERYWHERE] = [int(t) + 1 for t in common[0]]
        weights = dict(zip(self.evidence.models, map(float, self.weights[w]), strict=True))
        return Decision(weights, self.evidence.views, "probabilities", "threshold", self.by, by_stratum, {})

    def _thresholds(self, w: int, rows: np.ndarray, strata: list[str]) -> tuple[float, int, np.ndarray]:
        """(score, w, threshold indices (S, C)) of the weights numbered w."""
        statistics = self.score.statistics(counts_by_threshold(self.histograms[w, rows]))  # (rows, C, 255, K)
        summed = np.stack(
            [statistics[(self.strata[rows] == s) | (s == EVERYWHERE)].sum(0) for s in strata]
        )  # (S, C, 255, K)
        thresholds = np.stack([best_thresholds(summed[:, c], self.score) for c in range(summed.shape[1])], 1)
        picked = np.take_along_axis(summed, thresholds[..., None, None], 2)[:, :, 0].sum(0)  # (C, K)
        return float(self.score.finish(picked).mean()), w, thresholds

    def _with_area(self, decision: Decision, rows: np.ndarray) -> tuple[float, Decision]:
        """The decision with the minimum area that scores best, the smallest of equals, and its score."""
        counts = np.stack(
            [
                count_areas(mask, *self.evidence.truth(row), self.areas)
                for row, mask in tqdm(
                    self.evidence.masks(decision, rows),
                    "minimum area",
                    len(rows),
                    unit="row",
                    leave=False,
                    disable=None,
                )
            ],
            1,
        )
        scores = [self.score.of(of_area) for of_area in counts]
        best = int(np.argmax(scores))
        return scores[best], replace(decision, steps={"min_area": self.areas[best]} if best else {})

    def count(self, decision: Decision, rows: np.ndarray) -> np.ndarray:
        """Counts (len(rows), C, 3) of rows under a decision."""
        return np.stack([count(mask, *self.evidence.truth(row)) for row, mask in self.evidence.masks(decision, rows)])

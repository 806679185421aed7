"""Percentile intervals of a score by resampling groups. Source: Efron & Tibshirani 1993, chapter 13."""

import numpy as np

from tessera.metrics.counts import FScore

LEVEL = (2.5, 97.5)  # %


def interval(counts: np.ndarray, groups: np.ndarray, score: FScore, resamples: int, seed: int) -> list[float] | None:
    """The 95 % interval of the score of rows, counts (rows, C, 3), groups (rows,); None with fewer than two groups."""
    scores = resampled(counts, groups, score, resamples, seed)
    return None if scores is None else [float(bound) for bound in np.percentile(scores, LEVEL)]


def paired_interval(
    first: np.ndarray, second: np.ndarray, groups: np.ndarray, score: FScore, resamples: int, seed: int
) -> list[float] | None:
    """The 95 % interval of score(second) − score(first), both counted on the same rows and resamples."""
    scores = [resampled(counts, groups, score, resamples, seed) for counts in (first, second)]
    return None if scores[0] is None else [float(bound) for bound in np.percentile(scores[1] - scores[0], LEVEL)]


def resampled(counts: np.ndarray, groups: np.ndarray, score: FScore, resamples: int, seed: int) -> np.ndarray | None:
    """Scores (resamples,) of the rows with whole groups drawn with replacement; None with fewer than two groups."""
    names = sorted(set(groups))
    if len(names) < 2:
        return None
    statistics = score.statistics(counts)
    by_group = np.stack([statistics[groups == name].sum(0) for name in names])  # (G, C, K)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)
    return score.finish(np.tensordot(drawn, by_group, 1)).mean(-1)

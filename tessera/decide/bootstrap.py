"""What a score would have been on other groups: percentile intervals and standard errors.

Statistics (units, C, K) of single units; groups (units,). Source: Efron & Tibshirani 1993, chapters 11 and 13.
"""

from collections.abc import Callable

import numpy as np

from tessera.metrics.score import Score

LEVEL = (2.5, 97.5)  # %


def interval(statistics: np.ndarray, groups: np.ndarray, score: Score, resamples: int, seed: int) -> list[float] | None:
    """The 95 % interval of the score; None with fewer than two groups."""
    scores = resampled(statistics, groups, score, resamples, seed)
    return None if scores is None else [float(bound) for bound in np.percentile(scores, LEVEL)]


def paired_interval(
    first: np.ndarray, second: np.ndarray, groups: np.ndarray, score: Score, resamples: int, seed: int
) -> list[float] | None:
    """The 95 % interval of score(second) − score(first), both measured on the same units and resamples."""
    scores = [resampled(one, groups, score, resamples, seed) for one in (first, second)]
    return None if scores[0] is None else [float(bound) for bound in np.percentile(scores[1] - scores[0], LEVEL)]


def resampled(statistics: np.ndarray, groups: np.ndarray, score: Score, resamples: int, seed: int) -> np.ndarray | None:
    """Scores (resamples,) with whole groups drawn with replacement; None with fewer than two groups."""
    of_groups = by_group(statistics, groups)
    if len(of_groups) < 2:
        return None
    number = len(of_groups)
    drawn = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), resamples)
    return score.finish(np.tensordot(drawn, of_groups, 1)).mean(-1)


def left_out_error(statistics: np.ndarray, groups: np.ndarray, judge: Callable[[np.ndarray], np.ndarray]) -> float:
    """The standard error of judge(sum of the statistics (units, ...)) by leaving out one group after the other (the
    jackknife); 0 with fewer than two groups.

    judge: sums (G, ...) → (G,).
    """
    of_groups = by_group(statistics, groups)
    number = len(of_groups)
    if number < 2:
        return 0.0
    without = judge(of_groups.sum(0) - of_groups)
    return float(np.sqrt((number - 1) / number * ((without - without.mean()) ** 2).sum()))


def paired_gain(first: np.ndarray, second: np.ndarray, groups: np.ndarray, score: Score) -> tuple[float, float]:
    """score(second) − score(first) of the same units, and its standard error over groups."""

    def difference(pairs: np.ndarray) -> np.ndarray:
        scores = score.finish(pairs).mean(-1)  # (..., 2)
        return scores[..., 1] - scores[..., 0]

    pairs = np.stack([first, second], 1)  # (units, 2, C, K)
    return float(difference(pairs.sum(0))), left_out_error(pairs, groups, difference)


def by_group(statistics: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Statistics (units, ...) summed over each group, in the order of their names: (G, ...)."""
    names, where = np.unique(groups.astype(str), return_inverse=True)
    found = np.zeros((len(names), *statistics.shape[1:]))
    np.add.at(found, where, statistics)
    return found

"""What a score would have been on other groups: percentile intervals and standard errors.

Statistics (units, C, K) of single units; groups (units,). Source: Efron & Tibshirani 1993, chapters 11 and 13.
"""

from collections.abc import Callable

import numpy as np

from tessera.metrics.score import Score

LEVEL = (2.5, 97.5)  # %


def interval(scores: np.ndarray | None) -> list[float] | None:
    """The 95 % interval of what `resampled` gave."""
    return None if scores is None else [float(bound) for bound in np.percentile(scores, LEVEL)]


def paired_interval(
    first: np.ndarray, second: np.ndarray, groups: np.ndarray, score: Score, resamples: int, seed: int
) -> list[float] | None:
    """The 95 % interval of score(second) − score(first), both measured on the same units and resamples."""
    scores = resampled(np.stack([first, second], 1), groups, score, resamples, seed)
    return None if scores is None else interval(scores[:, 1] - scores[:, 0])


def resampled(statistics: np.ndarray, groups: np.ndarray, score: Score, resamples: int, seed: int) -> np.ndarray | None:
    """Scores (resamples, ...) of statistics (units, ..., C, K) with whole groups drawn with replacement.

    A resample that lacks a class, which would there score what `empty` says, is left out. None with fewer than two
    groups, of all or of a class.
    """
    of_groups = by_group(statistics, groups)
    number, of_classes = len(of_groups), groups_of_classes(of_groups)
    if min([number, *of_classes[of_classes > 0]]) < 2:
        return None
    drawn = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), resamples)
    sums = np.tensordot(drawn, of_groups, 1)
    sums = sums[complete(sums, of_groups)]
    return score.finish(sums).mean(-1) if len(sums) else None


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


def groups_of_classes(of_groups: np.ndarray) -> np.ndarray:
    """In how many groups each class occurs, (..., C); of_groups: (G, ..., C, K)."""
    return _there(of_groups).sum(0)


def complete(sums: np.ndarray, of_groups: np.ndarray) -> np.ndarray:
    """Which sums (n, ..., C, K) of groups hold every class that occurs in any of the groups (G, ..., C, K): (n,) bool."""
    lacking = _there(of_groups.sum(0)) & ~_there(sums)
    return ~lacking.reshape(len(sums), -1).any(1)


def _there(sums: np.ndarray) -> np.ndarray:
    """Whether a class has a pooled score at all: true pixels (TP + FN), or a surface of either mask. A mean of units,
    whose last statistic is their number, always is one."""
    return sums[..., 0] + sums[..., -1] > 0

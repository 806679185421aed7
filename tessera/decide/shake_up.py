"""How safe a choice between two recipes is when a leaderboard shows a part of the groups and counts the rest."""

import itertools
import math

import numpy as np

from tessera.decide.bootstrap import by_group, complete
from tessera.metrics.score import Score


def shake_up(
    submitted: np.ndarray, other: np.ndarray, groups: np.ndarray, score: Score, public: float, splits: int, seed: int
) -> dict | None:
    """What random splits of the groups into a public and a private part do to two recipes; None with fewer than two
    groups, of all or of a class.

    submitted, other: statistics (units, C, K) of the recipes on the same units; groups (units,). public: the share of
    groups that is public, at least one of them and never all. splits: how many are drawn; where there are no more, each
    one is taken once.

    Returns `splits` (how many), `left_out` (how many more, of which a part lacks a class), `public_groups`,
    `private_groups`, and shares of the splits: `other_wins`, the other scores higher on the private part;
    `leader_loses`, the one that leads in public (if equal, the submitted one) scores lower in private. Means over the
    splits: `drop`, the public score of the leader minus its private one; `both_gain`, the better private score of the
    two minus the submitted one's.
    """
    of_groups = by_group(np.stack([submitted, other], 1), groups)  # (G, 2, C, K)
    number = len(of_groups)
    if number < 2:
        return None
    shown = min(max(round(public * number), 1), number - 1)
    drawn = _splits(number, shown, splits, seed)
    sums = [np.tensordot(part, of_groups, 1) for part in (drawn, ~drawn)]  # public, private: (splits, 2, C, K)
    whole = complete(sums[0], of_groups) & complete(sums[1], of_groups)
    if not whole.any():
        return None
    of_public, of_private = (score.finish(part[whole]).mean(-1) for part in sums)  # (splits, 2)
    leader, each = (of_public[:, 1] > of_public[:, 0]).astype(int), np.arange(whole.sum())
    return {
        "splits": len(each),
        "left_out": len(drawn) - len(each),
        "public_groups": shown,
        "private_groups": number - shown,
        "other_wins": float((of_private[:, 1] > of_private[:, 0]).mean()),
        "leader_loses": float((of_private[each, leader] < of_private[each, 1 - leader]).mean()),
        "drop": float((of_public[each, leader] - of_private[each, leader]).mean()),
        "both_gain": float((of_private.max(1) - of_private[:, 0]).mean()),
    }


def _splits(groups: int, shown: int, most: int, seed: int) -> np.ndarray:
    """Which groups are public, (splits, groups) bool."""
    if math.comb(groups, shown) <= most:
        places = np.array(list(itertools.combinations(range(groups), shown)))
    else:
        random = np.random.default_rng(seed)
        places = random.permuted(np.tile(np.arange(groups), (most, 1)), axis=1)[:, :shown]
    chosen = np.zeros((len(places), groups), bool)
    np.put_along_axis(chosen, places, True, 1)
    return chosen

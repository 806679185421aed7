"""How safe a choice between two recipes is when a leaderboard shows a part of the groups and counts the rest."""

import itertools
import math

import numpy as np

from tessera.decide.bootstrap import by_group
from tessera.metrics.score import Score


def shake_up(
    first: np.ndarray, second: np.ndarray, groups: np.ndarray, score: Score, public: float, splits: int, seed: int
) -> dict | None:
    """What random splits of the groups into a public and a private part do to two recipes; None with fewer than two groups.

    first, second: statistics (units, C, K) of the best and the second-best recipe on the same units; groups (units,).
    public: the share of groups that is public, at least one of them and never all. splits: how many are drawn; where
    there are no more, each one is taken once.

    Returns `splits` (how many), `public_groups`, `private_groups`, and shares of the splits: `second_wins`, the second
    scores higher on the private part; `leader_loses`, the one that leads in public (if equal, the first) scores lower than
    the other in private. `drop`: the public score of the leader minus its private one, mean over the splits.
    """
    of_groups = [by_group(statistics, groups) for statistics in (first, second)]  # (G, C, K)
    number = len(of_groups[0])
    if number < 2:
        return None
    shown = min(max(round(public * number), 1), number - 1)
    chosen = _splits(number, shown, splits, seed)
    public_scores, private_scores = (
        np.stack([score.finish(np.tensordot(part, one, 1)).mean(-1) for one in of_groups]) for part in (chosen, ~chosen)
    )
    leader, each = (public_scores[1] > public_scores[0]).astype(int), np.arange(len(chosen))
    return {
        "splits": len(chosen),
        "public_groups": shown,
        "private_groups": number - shown,
        "second_wins": float((private_scores[1] > private_scores[0]).mean()),
        "leader_loses": float((private_scores[leader, each] < private_scores[1 - leader, each]).mean()),
        "drop": float((public_scores[leader, each] - private_scores[leader, each]).mean()),
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

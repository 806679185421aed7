"""The sets of units that are held out in turn."""

from collections.abc import Callable

import numpy as np
import pandas as pd

GROUP_PARTS = 5  # held-out sets of groups, where fewer than three folds are there


def holdouts(about: pd.DataFrame, seed: int, least: int = 3) -> tuple[list[np.ndarray], str | None]:
    """The sets (positions in `about`) that are held out in turn, or none and the reason.

    The folds; with fewer than three of them, sets of groups, of which there must be `least`.
    """
    by = about.fold if about.fold.nunique() >= 3 else _group_parts(about.group, seed, least)
    if by is None:
        return [], f"{about.group.nunique()} group(s): cross-fitting needs three"
    return [np.flatnonzero(by == name) for name in sorted(set(by))], None


def inner_holdouts(about: pd.DataFrame, seed: int) -> list[np.ndarray]:
    """`holdouts` of the units that decide: two groups will do, which is what three leave to a decision without one."""
    return holdouts(about, seed, least=2)[0]


def _group_parts(groups: pd.Series, seed: int, least: int) -> pd.Series | None:
    names = np.random.default_rng(seed).permutation(sorted(set(groups)))
    if len(names) < least:
        return None
    return groups.map({name: number % GROUP_PARTS for number, name in enumerate(names)})


def crossfit(
    units: np.ndarray, sets: list[np.ndarray], statistics: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Statistics (units, C, K), of each set (positions in `units`) by what the others say.

    statistics: units to decide on, units held out → statistics of the latter.
    """
    found = [statistics(np.delete(units, out), units[out]) for out in sets]
    return np.concatenate(found)[np.argsort(np.concatenate(sets))]

"""The sets of units that are held out in turn."""

import numpy as np
import pandas as pd

GROUP_PARTS = 5  # held-out sets of groups, where fewer than three folds are there


def holdouts(about: pd.DataFrame, seed: int) -> tuple[list[np.ndarray], str | None]:
    """The sets (positions in `about`) that are held out in turn, or none and the reason.

    The folds; with fewer than three of them, sets of groups.
    """
    by = about.fold if about.fold.nunique() >= 3 else _group_parts(about.group, seed)
    if by is None:
        return [], f"{about.group.nunique()} group(s): cross-fitting needs three"
    return [np.flatnonzero(by == name) for name in sorted(set(by))], None


def _group_parts(groups: pd.Series, seed: int) -> pd.Series | None:
    names = np.random.default_rng(seed).permutation(sorted(set(groups)))
    if len(names) < 3:
        return None
    return groups.map({name: number % GROUP_PARTS for number, name in enumerate(names)})

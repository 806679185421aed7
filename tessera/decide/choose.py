"""What is kept of what is there: views, models, blends and steps alike, by what they gain on units that did not choose."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Names = tuple[str, ...]
_NOTHING = 1e-12  # what rounding may gain


class Tried(NamedTuple):
    """kind: view | model | blend | step. name: one; several tried together, joined by " + "; or "without" the first view.
    alone: the cross-fitted score of a view or model by itself; of a blend or step, on what was decided before it; None where
    nobody asked. gain: of adding it to what was kept by then (of taking it away), cross-fitted, when it was last tried; se:
    its standard error over groups."""

    kind: str
    name: str
    alone: float | None
    gain: float
    se: float
    kept: bool


def forward(
    kind: str,
    names: Sequence[str],
    statistics: Callable[[Names], np.ndarray],
    gain: Callable[[np.ndarray, np.ndarray], tuple[float, float]],
    alone: Callable[[Names], float] | None,
    keep_gain: float,
) -> tuple[Names, list[Tried]]:
    """Those of `names` that are kept, and what was tried.

    Each name that is left is tried by itself. Of those that gain more than `keep_gain` standard errors of their gain the
    best is kept, and the rest is tried again. Where no single one does, all that are left are tried together: only then, as
    a useful one would carry useless ones with it. statistics: names → cross-fitted statistics with them.
    """
    kept: Names = ()
    left, tried = tuple(names), {}
    base = statistics(kept) if left else None
    while left:
        taken = None
        for options in ([(name,) for name in left], [left] if len(left) > 1 else []):
            found = {option: statistics(kept + option) for option in options}
            gains = {option: gain(base, one) for option, one in found.items()}
            enough = [one for one, (gained, error) in gains.items() if gained > max(keep_gain * error, _NOTHING)]
            taken = max(enough, key=lambda one: gains[one][0], default=None)
            for option, (gained, error) in gains.items():
                name = " + ".join(option)
                score = tried[name].alone if name in tried else alone and alone(option)
                tried[name] = Tried(kind, name, score, gained, error, option == taken)
            if taken:
                break
        if taken is None:
            break
        kept, base = kept + taken, found[taken]
        left = tuple(name for name in left if name not in kept)
    return kept, list(tried.values())


def say(tried: list[dict], keep_gain: float) -> list[str]:
    """A line for each that was tried, of `Tried._asdict`."""
    return [
        f"{'kept' if one['kept'] else 'not kept':<9} {one['kind']} {one['name']}: alone {one['alone']:.4f}, "
        f"gain {one['gain']:+.4f}, asked for more than {keep_gain:g} × {one['se']:.4f}"
        for one in tried
    ]

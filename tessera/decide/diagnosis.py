"""Which bug reproduces a score of the leaderboard: the out-of-fold predictions are scored as each would leave them."""

import copy
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from tessera.decide.bootstrap import resampled
from tessera.decide.bugs import Bug
from tessera.decide.decision import Decision
from tessera.decide.evidence import Evidence
from tessera.decide.units import Units, measure
from tessera.errors import InputError
from tessera.metrics.score import Score, score_of

ROUNDED = 0.005  # a leaderboard may show two decimals


class Finding(NamedTuple):
    """score: with the bug. error: its standard error over groups; None where one holds all, or a class."""

    name: str
    look: str
    score: float
    error: float | None

    def reproduces(self, leaderboard: float) -> bool:
        """Whether the score of the leaderboard lies within the standard error, or is the same but for rounding."""
        return abs(self.score - leaderboard) <= max(self.error or 0, ROUNDED)


class Diagnosis:
    """Scores a decision on rows with truth, under bugs."""

    def __init__(self, evidence: Evidence, decision: Decision, score: Score, resamples: int, seed: int):
        self.evidence, self.decision, self.score, self.resamples, self.seed = evidence, decision, score, resamples, seed
        self.units = Units(evidence.rows, score.unit)

    def of(self, bug: Bug) -> Finding:
        """What a bug makes of the score of all rows."""
        statistics = self._measured(self.evidence, bug)
        scores = resampled(statistics, self.units.about.group.to_numpy(), self.score, self.resamples, self.seed)
        error = None if scores is None else float(scores.std())
        return Finding(bug.name, bug.look, score_of(self.score, statistics), error)

    def _measured(self, evidence: Evidence, bug: Bug) -> np.ndarray:
        """Statistics (units, C, K)."""
        changed = copy.copy(evidence)
        changed.maps = lambda *asked: bug.maps(evidence.maps(*asked))
        masks = ((row, bug.mask(mask)) for row, mask in changed.masks(bug.decision(self.decision)))
        found = dict(measure(evidence, self.units, self.score, masks))
        return np.stack([found[unit] for unit in range(len(self.units))])


def few_rows(rows: pd.DataFrame, items: int, slices: int) -> pd.DataFrame:
    """The middle `slices` of each of so many items, spread over all of them."""
    if items < 0:
        raise InputError(f"items {items}: expected 0, for which no network runs, or more")
    names = rows["item"].unique()
    chosen = names[np.linspace(0, len(names) - 1, min(items, len(names))).round().astype(int)]
    of_items = [rows[rows["item"] == name].sort_values("z") for name in chosen]
    few = [own[max(len(own) - slices, 0) // 2 :][:slices] for own in of_items]
    return pd.concat([rows[:0], *few], ignore_index=True)


def boxes_of(rows: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """The rows' items as boxes (original px) of the slices that the rows hold, with height and width of their images."""
    boxes = rows.groupby("item", sort=False, as_index=False).agg(
        image_id=("image_id", "first"), z0=("z", "min"), z1=("z", "max"),
        y0=("y0", "first"), y1=("y1", "first"), x0=("x0", "first"), x1=("x1", "first"),
    )  # fmt: skip
    return boxes.assign(z1=boxes.z1 + 1).merge(manifest[["image_id", "height", "width"]], on="image_id")


def on_few(name: str, look: str, wrong: Finding, right: Finding, plain: Finding, rows: int) -> Finding:
    """What a bug that was measured on few rows, wrong beside right, would make of the score of all rows."""
    score = min(max(plain.score + wrong.score - right.score, 0), 1)
    return Finding(f"{name} ({rows} rows)", look, score, plain.error)


def table(findings: Iterable[Finding], leaderboard: float, plain: Finding) -> str:
    """A line a finding, the nearest first; → marks those that reproduce the score of the leaderboard."""
    order = sorted([plain, *findings], key=lambda one: abs(one.score - leaderboard))
    width = max(len(one.name) for one in order)
    lines = [f"  {'':<{width}}  score    ± s.e.   leaderboard {leaderboard:.4f}"]
    for one in order:
        error = "–" if one.error is None else f"{one.error:.4f}"
        mark = "→" if one.reproduces(leaderboard) else " "
        lines.append(f"{mark} {one.name:<{width}}  {one.score:.4f}  {error:<7}  {one.look}".rstrip())
    return "\n".join([*lines, "", _verdict(order, leaderboard, plain)])


def _verdict(order: list[Finding], leaderboard: float, plain: Finding) -> str:
    """One line on what reproduces the score."""
    found = [one.name for one in order if one is not plain and one.reproduces(leaderboard)]
    if plain.reproduces(leaderboard):
        return "no bug is needed: the score as decided lies within its standard error of the leaderboard's"
    if not found:
        return f"none of these bugs reproduces {leaderboard:.4f}: the nearest is {order[0].name}"
    return f"{leaderboard:.4f} is what these would score: {', '.join(found)}"

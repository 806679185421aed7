"""The closing table of a run."""

from pathlib import Path

import numpy as np

from tessera.decide.evidence import Evidence
from tessera.decide.units import Units, measure_unit
from tessera.deliver.dialects.rle_csv import RleCsv
from tessera.deliver.submission import shapes_of
from tessera.errors import InputError
from tessera.metrics.score import Score, score_of


def table(scores: dict) -> str:
    """A line a model and the ensemble: optimistic and cross-fitted score, interval, what was chosen."""
    lines = [f"{scores['score']['name']:<24}{'optimistic':>11}{'cross-fitted':>14}{'95 % interval':>18}   decision"]
    for name, said in [*scores["models"].items(), ("ensemble", scores["ensemble"])]:
        low_high = "–" if not said.get("interval") else "{:.4f}…{:.4f}".format(*said["interval"])
        honest = "–" if said["crossfitted"] is None else f"{said['crossfitted']:.4f}"
        decision = said["decision"]
        chosen = ", ".join(f"{key} {say_levels(value)}" for key, value in decision["levels"].items())
        chosen = "; ".join([f"{decision['cut']} {chosen}", *say_steps(decision["steps"])])
        lines.append(f"{name:<24}{said['optimistic']:>11.4f}{honest:>14}{low_high:>18}   {chosen}")
    if scores["ensemble"]["crossfitted"] is None:
        lines.append(f"cross-fitted: – ({scores['ensemble']['reason']})")
    if chosen := say_chosen(scores):
        lines.append(chosen)
    return "\n".join(lines + scores["notes"])


def say_chosen(scores: dict) -> str:
    """A line on the models that weigh in the ensemble and were chosen by the score of what they are scored on; may be empty."""
    weights = scores["ensemble"]["decision"]["weights"]
    names = ", ".join(name for name in scores["selected_on_validation"] if weights[name] > 0)
    if not names:
        return ""
    return (
        f"the validation fold chose what was kept of {names} (keep, patience); the interval does not cover that choice"
    )


def say_levels(levels: list) -> str:
    """A cut's levels, those of classes apart by "/", the numbers of one level by "…"."""
    return "/".join("…".join(map(_say, level if isinstance(level, list | tuple) else [level])) for level in levels)


def say_steps(steps: dict[str, object]) -> list[str]:
    """The post-processing that is on, such as "min_area 16"."""
    return [f"{name} {_say(value)}" for name, value in steps.items()]


def _say(number: float) -> str:
    return f"{number:.4g}" if isinstance(number, float) else str(number)


def solution_score(submission: Path, solution: Path, dialect: RleCsv, evidence: Evidence, score: Score) -> float:
    """The score of a submission against a solution file of the same dialect. evidence: the test rows."""
    shapes, number = shapes_of(evidence.rows), {row_id: row for row, row_id in evidence.rows.row_id.items()}
    truth = dict(dialect.read(solution, shapes))
    for row_id in evidence.rows.row_id:
        if row_id not in truth:
            raise InputError(f"{solution}: no row for id {row_id!r}")
    found = (
        (number[row_id], (mask, (truth[row_id], np.ones_like(mask))))
        for row_id, mask in dialect.read(submission, shapes)
    )
    statistics = [
        measure_unit(score, *zip(*pairs, strict=True), evidence.spacing(rows[0]))
        for _, rows, pairs in Units(evidence.rows, score.unit).collect(found)
    ]
    return score_of(score, np.stack(statistics))

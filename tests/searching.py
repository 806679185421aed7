"""Searches that several tests make."""

from tessera.decide.evidence import Evidence
from tessera.decide.levels import Rule
from tessera.decide.search import Freedoms, Search
from tessera.metrics.score import Score

PLAIN = Rule("", False, "max", 0)


def searching(
    evidence: Evidence, score: Score, step: float = 0.5, cut: str = "threshold", rule: Rule = PLAIN, **changes: object
) -> tuple[Search, Freedoms]:
    """A search over the evidence, and the freedom to use all of it by one rule; `changes`: of the freedoms."""
    free = {
        "views": tuple(evidence.views), "models": tuple(evidence.models), "blends": ("probabilities",), "steps": {},
        "rule": rule, "keep_gain": 1.0,
    }  # fmt: skip
    return Search(evidence, score, cut, step, 0), Freedoms(**free | changes)

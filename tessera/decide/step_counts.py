"""What all candidate values of a post-processing step leave of masks, in one pass over the rows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tessera.decide.decision import Decision
from tessera.decide.steps.build import COUNTS, STEPS, VOLUME_STEP
from tessera.decide.steps.min_volume import volume_counts

if TYPE_CHECKING:
    from tessera.decide.evidence import Evidence

_ORDER = [*STEPS, VOLUME_STEP]


def counted(step: str, decision: Decision) -> bool:
    """Whether `step_counts` can tell: the step has counts, and is applied after all those of the decision."""
    return step in {*COUNTS, VOLUME_STEP} and all(_ORDER.index(one) < _ORDER.index(step) for one in decision.steps)


def step_counts(
    evidence: "Evidence", decision: Decision, step: str, values: list, rows: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """(row, counts (len(values), C, 3)) of rows under a decision with each value of a step that is `counted`."""
    volumes: dict[str, dict] = {}  # by item
    items, z = evidence.rows["item"].tolist(), evidence.rows.z.tolist()
    for row, mask in evidence.masks(decision, rows):
        truth = evidence.truth(row)
        if step == VOLUME_STEP:
            if items[row] not in volumes:
                volumes[items[row]] = evidence.volumes(items[row], decision)
            yield row, volume_counts(mask, *truth, values, volumes[items[row]][z[row]])
        else:
            yield row, COUNTS[step](mask, *truth, values, evidence.spacing(row)[1:])

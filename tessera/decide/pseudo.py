"""Probabilities of test images as labels that a training can learn from."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from tessera.data.pixels import PixelStore
from tessera.data.rounds import Made
from tessera.data.stacks import Stack
from tessera.decide.blending import blend
from tessera.decide.cuts.build import CUTS
from tessera.decide.decision import EVERYWHERE, Decision
from tessera.errors import InputError
from tessera.predict.store import ProbabilityStore
from tessera.tasks import CERTAIN, IGNORE

if TYPE_CHECKING:
    from tessera.params.pseudo import Pseudo

ROWS = 512  # of a band, working px


class Labelling(NamedTuple):
    """How labels are made."""

    pseudo: "Pseudo"
    decision: Decision
    channels: int  # classes
    stacks: list[Stack]  # of the decision's models
    store: PixelStore

    def images(self, test: pd.DataFrame, stores: list[dict[str, ProbabilityStore]]) -> Iterator[Made]:
        """The labels of each image of the manifest `test`, from the mean over `stores`: by model, one a fold."""
        for row in test.itertuples():
            shape = self.store.depth(row.image_id).labelled, *self.store.shape(row.image_id)[1:]
            planes = (self.channels,) if self.channels > 1 else ()
            yield Made(row.image_id, row.digest, (*shape, *planes), self._bands(row, shape, stores))

    def _bands(
        self, row: tuple, shape: tuple[int, int, int], stores: list[dict[str, ProbabilityStore]]
    ) -> Iterator[tuple[int, int, np.ndarray]]:
        """As `Made.bands`. IGNORE is what no network was asked for: a slice that a model does not predict, and what lies
        outside the valid area, where probabilities are 0."""
        depth = self.store.depth(row.image_id)
        name = getattr(row, self.decision.by) if self.decision.by else EVERYWHERE
        for z in range(shape[0]):
            shown, valid = all(stack.shows(depth, z) for stack in self.stacks), self.store.valid(row.image_id, z)
            for y in range(0, shape[1], ROWS):
                maps = self._maps(row.image_id, z, (y, min(y + ROWS, shape[1])), stores)
                labels = label(maps, self.decision, name, self.pseudo)
                if not shown:
                    labels[:] = IGNORE
                elif valid is not None:
                    labels[:, valid[y : y + ROWS] == 0] = IGNORE
                yield z, y, np.ascontiguousarray(np.moveaxis(labels, 0, -1)) if len(labels) > 1 else labels[0]

    def _maps(
        self, image_id: str, z: int, rows: tuple[int, int], stores: list[dict[str, ProbabilityStore]]
    ) -> np.ndarray:
        """(models, C, h, W) float32 in 0…255, mean over views and folds."""
        of_models = [
            sum(of_fold[model].read_stored(image_id, z, self.decision.views, rows) for of_fold in stores)
            for model in self.decision.models
        ]
        return np.stack(of_models) / np.float32(len(stores))


def refuse_unlike(decision: Decision, pseudo: "Pseudo") -> None:
    """Raises InputError for a decision that asks more than a pixel's own probability: labels are made band by band."""
    if decision.blend != "probabilities":
        raise InputError(
            f"tune decided to blend {decision.blend}, which are no probabilities: tune with blend: [probabilities]"
        )
    if pseudo.labels == "hard" and decision.cut != "threshold":
        raise InputError(
            f"hard labels are cut at each pixel's own probability, the recipe's cut is {decision.cut}: give pseudo.labels "
            "soft, or tune.cut threshold"
        )


def label(maps: np.ndarray, decision: Decision, name: str, pseudo: "Pseudo") -> np.ndarray:
    """Labels (C, H, W) uint8 of maps (len(decision.models), C, H, W) in 0…255, of an image of stratum or domain
    `name`; soft ones as `tessera.tasks` says.

    hard: 1 where the decision's threshold is reached; what it removes afterwards is counted in original px, and stays.
    Probabilities strictly between `pseudo.bounds` are IGNORE in either.
    """
    blended = blend(maps, [decision.weights[model] for model in decision.models])
    if pseudo.labels == "hard":
        labels = CUTS[decision.cut](blended, decision.levels_of(name)).astype(np.uint8)
    else:
        labels = np.rint(blended * (CERTAIN / 255)).astype(np.uint8)
        labels[labels == 1] = 0  # 1 would say certain
    low, high = (255 * bound for bound in pseudo.bounds)
    labels[(blended > low) & (blended < high)] = IGNORE
    return labels


def decided_without(said: dict, rows: dict[str, list]) -> dict[int, Decision]:
    """fold → the decision that was made without all of its rows, where one was; said: what scores.json says of one way to
    decide, rows: its columns row_id and fold."""
    folds = pd.DataFrame(rows).groupby("fold").row_id.agg(set)
    return {
        fold: Decision(**one["decision"])
        for one in said.get("holdouts", [])
        for fold, own in folds.items()
        if own <= set(one["rows"])
    }

"""What decisions are made on: rows (images or slices) with their models' probabilities and, for OOF, their truth."""

from pathlib import Path

import numpy as np
import pandas as pd

from tessera.data.manifest import row_ids
from tessera.data.parts import plane_of, with_manifest
from tessera.data.pixels import PixelStore
from tessera.decide.decision import Decision
from tessera.predict.store import ProbabilityStore
from tessera.tasks import Binary

ROWS = ["row_id", "item", "image_id", "z", "fold", "group", "stratum", "y0", "y1", "x0", "x1"]  # bounds: original px
KEPT = 2**29  # bytes of maps that stay in memory; rows beyond it are read again each time


class Evidence:
    """Rows over stores.

    rows: `ROWS`; one a submission row or, of a part of the plane, its share of one. stores: model → the store that
    holds a row's item, by fold (test: fold −1).
    """

    def __init__(
        self, rows: pd.DataFrame, stores: dict[str, dict[int, Path]], views: list[str], pixels: PixelStore, task: Binary
    ):
        self.rows, self.views, self.pixels, self.task = rows, views, pixels, task
        self.models = list(stores)
        self._kept: dict[tuple[int, str], np.ndarray] = {}
        self._kept_bytes = 0
        self.stores = {
            model: {fold: ProbabilityStore(path) for fold, path in paths.items()} for model, paths in stores.items()
        }

    def maps(self, row: int, models: list[str]) -> np.ndarray:
        """Probabilities (len(models), C, H, W) float32 in 0…255 at the original resolution, mean over views."""
        return np.stack([self._map(row, model) for model in models])

    def _map(self, row: int, model: str) -> np.ndarray:
        if (row, model) in self._kept:
            return self._kept[row, model]
        item, z, fold = self.rows.loc[row, ["item", "z", "fold"]]
        values = self.stores[model][fold].read(item, z, self.views)
        if self._kept_bytes + values.nbytes <= KEPT:
            self._kept[row, model] = values
            self._kept_bytes += values.nbytes
        return values

    def mask(self, row: int, decision: Decision) -> np.ndarray:
        """The mask (C, H, W) bool of a row under a decision, at the original resolution."""
        return decision.mask(self.maps(row, decision.models), self.rows.stratum[row])

    def truth(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Target and valid of a row, each (C, H, W) bool, at the original resolution."""
        image_id, z, y0, y1, x0, x1 = self.rows.loc[row, ["image_id", "z", "y0", "y1", "x0", "x1"]]
        return self.task.encode_target(self.pixels.read_truth(image_id, z)[y0:y1, x0:x1])


def oof_rows(parts: pd.DataFrame, manifest: pd.DataFrame, folds: list[int]) -> pd.DataFrame:
    """The rows of all parts of the folds. A part stands for its own group where an image holds several.

    A row of a part of the plane is named `<row>@y0-50x0-99`.
    """
    rows = []
    for part in with_manifest(parts[parts.fold.isin(folds)], manifest).itertuples():
        group = part.group if part.part_id == part.image_id else part.part_id
        bounds = (part.y0, part.y1, part.x0, part.x1)
        cut = "" if bounds == (0, part.height, 0, part.width) else f"@{plane_of(part)}"
        names = row_ids(part)[part.z0 : part.z1]
        rows += [
            (name + cut, part.part_id, part.image_id, z, part.fold, group, part.stratum, *bounds)
            for z, name in enumerate(names, part.z0)
        ]
    return pd.DataFrame(rows, columns=ROWS)


def test_rows(manifest: pd.DataFrame) -> pd.DataFrame:
    """The rows of the test images, fold −1."""
    rows = [
        (name, image.image_id, image.image_id, z, -1, image.group, image.stratum, 0, image.height, 0, image.width)
        for image in manifest.itertuples()
        for z, name in enumerate(row_ids(image))
    ]
    return pd.DataFrame(rows, columns=ROWS)

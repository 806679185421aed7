"""What decisions are made on: rows (images or slices) with their models' probabilities and, for OOF, their truth."""

import itertools
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from tessera.data.manifest import row_ids
from tessera.data.parts import plane_of, with_manifest
from tessera.data.pixels import PixelStore
from tessera.decide.decision import EVERYWHERE, Decision
from tessera.decide.steps.build import VOLUME_STEP
from tessera.decide.steps.min_volume import component_volumes, min_volume
from tessera.predict.store import ProbabilityStore
from tessera.tasks import Binary

ROWS = [
    "row_id", "item", "image_id", "z", "fold", "group", "stratum", "domain", "pixel_size", "y0", "y1", "x0", "x1",
]  # fmt: skip
# pixel_size: µm, 1 where it is not known; bounds: original px
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
        self._kept: dict[tuple, np.ndarray] = {}
        self._kept_bytes = 0
        self.stores = {
            model: {fold: ProbabilityStore(path) for fold, path in paths.items()} for model, paths in stores.items()
        }

    def maps(self, row: int, models: list[str], views: list[str]) -> np.ndarray:
        """Probabilities (len(models), C, H, W) float32 in 0…255 at the original resolution, mean over the views."""
        return np.stack([self._map(row, model, tuple(views)) for model in models])

    def _map(self, row: int, model: str, views: tuple[str, ...]) -> np.ndarray:
        if (row, model, views) in self._kept:
            return self._kept[row, model, views]
        item, z, fold = self._about(row, "item", "z", "fold")
        values = self.stores[model][fold].read(item, z, list(views))
        if self._kept_bytes + values.nbytes <= KEPT:
            self._kept[row, model, views] = values
            self._kept_bytes += values.nbytes
        return values

    def masks(self, decision: Decision, rows: Iterable[int] | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """(row, mask (C, H, W) bool) of all rows, or of those given, under a decision, at the original resolution."""
        volumes = {}  # by item; what is known of all its slices
        for row in self.rows.index if rows is None else rows:
            mask = self._row_mask(row, decision)
            if VOLUME_STEP in decision.steps:
                item, z = self._about(row, "item", "z")
                if item not in volumes:
                    volumes[item] = self.volumes(item, decision)
                mask = min_volume(mask, decision.steps[VOLUME_STEP], volumes[item][z])
            yield row, mask

    def masks_under(
        self, decisions: dict[str, Decision], rows: Iterable[int] | None = None
    ) -> Iterator[tuple[int, np.ndarray]]:
        """`masks` of rows that are decided by their own decision each: row_id → decision."""
        names = self.rows.row_id
        for decision, own in itertools.groupby(
            names.index if rows is None else rows, lambda row: decisions[names[row]]
        ):
            yield from self.masks(decision, list(own))

    def volumes(self, item: str, decision: Decision) -> dict[int, list[np.ndarray]]:
        """`component_volumes` over all rows of an item, after the decision's steps that look at single rows."""
        slices = self.rows[self.rows["item"] == item].sort_values("z")
        return component_volumes((z, self._row_mask(row, decision)) for row, z in slices.z.items())

    def _row_mask(self, row: int, decision: Decision) -> np.ndarray:
        name = self._columns[decision.by][row] if decision.by else EVERYWHERE
        return decision.mask(self.maps(row, decision.models, decision.views), name, self.spacing(row)[1:])

    def spacing(self, row: int) -> tuple[float, float, float]:
        """µm between px of the original, along z, y and x; 1 where `data.pixel_size` is not given.

        Nothing says how far apart slices are: they are taken to be as far as px.
        """
        return (self._columns["pixel_size"][row],) * 3

    def truth(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Target and valid of a row, each (C, H, W) bool, at the original resolution."""
        image_id, z, y0, y1, x0, x1 = self._about(row, "image_id", "z", "y0", "y1", "x0", "x1")
        return self.task.encode_target(self.pixels.read_truth(image_id, z)[y0:y1, x0:x1])

    @cached_property
    def _columns(self) -> dict[str, list]:
        """The rows by column: pandas takes milliseconds to look up a row, and each is looked up thousands of times."""
        return {name: self.rows[name].tolist() for name in self.rows}

    def _about(self, row: int, *columns: str) -> list:
        return [self._columns[column][row] for column in columns]


def oof_rows(parts: pd.DataFrame, manifest: pd.DataFrame, folds: list[int], pixel_size: str | None) -> pd.DataFrame:
    """The rows of all parts of the folds. A part stands for its own group where an image holds several.

    A row of a part of the plane is named `<row>@y0-50x0-99`. pixel_size: the manifest's column of it.
    """
    rows, sizes = [], _pixel_sizes(manifest, pixel_size)
    for part in with_manifest(parts[parts.fold.isin(folds)], manifest).itertuples():
        group = part.group if part.part_id == part.image_id else part.part_id
        bounds = (part.y0, part.y1, part.x0, part.x1)
        cut = "" if bounds == (0, part.height, 0, part.width) else f"@{plane_of(part)}"
        names = row_ids(part)[part.z0 : part.z1]
        about = (part.fold, group, part.stratum, part.domain, sizes[part.image_id], *bounds)
        rows += [(name + cut, part.part_id, part.image_id, z, *about) for z, name in enumerate(names, part.z0)]
    return pd.DataFrame(rows, columns=ROWS)


def test_rows(manifest: pd.DataFrame, pixel_size: str | None) -> pd.DataFrame:
    """The rows of the test images, fold −1. pixel_size: the manifest's column of it."""
    rows, sizes = [], _pixel_sizes(manifest, pixel_size)
    for image in manifest.itertuples():
        about = (-1, image.group, image.stratum, image.domain, sizes[image.image_id])
        rows += [
            (name, image.image_id, image.image_id, z, *about, 0, image.height, 0, image.width)
            for z, name in enumerate(row_ids(image))
        ]
    return pd.DataFrame(rows, columns=ROWS)


def _pixel_sizes(manifest: pd.DataFrame, column: str | None) -> dict[str, float]:
    """µm per px by image; 1 where no column says it."""
    sizes = [1.0] * len(manifest) if column is None else map(float, manifest[column])
    return dict(zip(manifest.image_id, sizes, strict=True))

"""A training: all that decides its result, but the code."""

from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from tessera.data.pixels import PixelStore
from tessera.learn.networks.licences import licence_of
from tessera.learn.record import describe_seen
from tessera.learn.resume import run_key
from tessera.learn.training import Material, Training
from tessera.machine import Machine
from tessera.tasks import Binary

if TYPE_CHECKING:
    from tessera.params.model import Model


class Fit(NamedTuple):
    """One model, what it trains on and what it is scored on."""

    model: str
    fold: int | str  # that it never sees; "full": it sees all
    section: "Model"
    task: Binary
    amp: str
    patch_size: int  # working px
    store: PixelStore
    manifest: pd.DataFrame  # the training images
    patches: pd.DataFrame  # that train
    windows: pd.DataFrame  # what training may read of each, boxes in original px
    held_out: pd.DataFrame | None  # parts in working px; None: nothing is scored
    rounds: dict[str, str] | None = None  # of pseudo-labels that train it too: name → digest of their labels

    @property
    def said(self) -> dict:
        """What its checkpoint says of where it comes from."""
        return describe_seen(self.windows, self.manifest) | {
            "model": self.model, "fold": self.fold, "params": self.section.model_dump(), "amp": self.amp,
            "data_digest": self.store.digest, "licence": licence_of(self.section),
            "selected_on_validation": self.section.selected_on_validation,
        } | ({"rounds": self.rounds} if self.rounds else {})  # fmt: skip

    @property
    def key(self) -> str:
        """Of its saved states, in which scores of the held-out parts choose epochs."""
        tables = (self.patches, self.held_out)
        return run_key(self.said, *(None if table is None else table.to_csv(index=False) for table in tables))

    @property
    def material(self) -> Material:
        """What its training is given."""
        return Material(self.store, self.patches, self.patch_size, int(self.manifest.channels.iloc[0]))

    def training(self, machine: Machine) -> Training:
        """The training on a machine, which does not change the result."""
        return Training(self.section, self.task, self.amp, machine)

"""What oof and predict share: the networks, and the way from items to a store. Killed, it goes on with the next item."""

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
from torch import nn

from tessera import machine, paths
from tessera.data.pixels import PixelStore
from tessera.learn.checkpoints import digest_of, load_checkpoint
from tessera.learn.lock import locked
from tessera.learn.networks.build import build_network
from tessera.learn.precision import autocast
from tessera.learn.resume import run_key
from tessera.predict.predictor import Predictor
from tessera.predict.unseen import unseen_views
from tessera.predict.write import write_predictions
from tessera.tasks import Binary

if TYPE_CHECKING:
    from tessera.params.model import Model
    from tessera.params.predict import Predict

SCRATCH = paths.SCRATCH / "predict"


class Setup(NamedTuple):
    """How a model's networks predict the images of a store."""

    section: "Model"
    predict: "Predict"
    amp: str
    task: Binary
    store: PixelStore
    channels: int  # of an image

    def network(self, weights: Path) -> nn.Module:
        """A trained network, on the device."""
        network = build_network(self.section, self.channels, self.task.channels, pretrained=False)
        return load_checkpoint(weights, network, machine.device())

    def predictor(self, networks: list[nn.Module]) -> Predictor:
        """The mean of networks."""
        device = machine.device()
        return Predictor(networks, self.section, self.predict, self.task, device, partial(autocast, device, self.amp))


def write(path: Path, name: str, weights: list[Path], setup: Setup, items: pd.DataFrame, about: dict) -> None:
    """Predicts items with the mean of the networks in `weights`. name: of the model, and of what is predicted.

    Raises InputError when another process, left over from a killed DVC, is at it.
    """
    with locked(SCRATCH / f"{name}.lock"):
        _write(path, name, weights, setup, items, about)


def _write(path: Path, name: str, weights: list[Path], setup: Setup, items: pd.DataFrame, about: dict) -> None:
    section, predict = setup.section, setup.predict
    if strange := unseen_views(predict.views, section):
        print(
            f"predict.views {', '.join(strange)}: training never showed {about['model']} such windows (its augment has "
            "no such turn or scale); they may lower the score"
        )
    networks = [setup.network(one) for one in weights]
    if machine.here().compile:
        for network in networks:
            network.compile()
    about = about | {"checkpoints": [digest_of(one) for one in weights]} | predict.model_dump(include={"merge"})
    asked = section.model_dump(), predict.model_dump(), setup.amp, setup.store.digest, items.to_csv(index=False)
    key = run_key(about, *asked)
    with paths.writing(path) as temporary:
        write_predictions(temporary, setup.predictor(networks), setup.store, items, about, SCRATCH / f"{name}-{key}")
    for finished in SCRATCH.glob(f"{name}-*"):  # of this run, and of runs that were given up
        shutil.rmtree(finished)

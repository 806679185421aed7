"""What oof and predict share: the networks, and the way from items to a store. Killed, it goes on with the next item."""

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from tessera import machine, paths
from tessera.data.pixels import PixelStore
from tessera.learn.checkpoints import digest_of, load_checkpoint
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


def write(
    path: Path, name: str, weights: list[Path], section: "Model", predict: "Predict", amp: str, task: Binary,
    store: PixelStore, manifest: pd.DataFrame, items: pd.DataFrame, about: dict,
) -> None:  # fmt: skip
    """Predicts items with the mean of the networks in `weights`. name: of the model, and of the fold where it is one's."""
    here, channels = machine.here(), int(manifest.channels.iloc[0])
    if strange := unseen_views(predict.views, section):
        print(
            f"predict.views {', '.join(strange)}: training never showed {about['model']} such windows (its augment has "
            "no such turn or scale); they may lower the score"
        )
    networks = [
        load_checkpoint(path, build_network(section, channels, task.channels, pretrained=False), here.device)
        for path in weights
    ]
    if here.compile:
        for network in networks:
            network.compile()
    predictor = Predictor(networks, section, predict, task, here.device, partial(autocast, here.device, amp))
    about = about | {"checkpoints": [digest_of(path) for path in weights]} | predict.model_dump(include={"merge"})
    key = run_key(about, section.model_dump(), predict.model_dump(), amp, store.digest, items.to_csv(index=False))
    with paths.writing(path) as temporary:
        write_predictions(temporary, predictor, store, items, about, SCRATCH / f"{name}-{key}")
    for finished in SCRATCH.glob(f"{name}-*"):  # of this run, and of runs that were given up
        shutil.rmtree(finished)

"""What single networks say of the test images, kept in scratch/ while a round is made of it: killed, it goes on from there."""

from pathlib import Path

import pandas as pd

from stages.predicting import Setup, write
from tessera import paths
from tessera.data.parts import whole_images
from tessera.data.pixels import PixelStore
from tessera.learn.checkpoints import digest_of
from tessera.learn.resume import run_key
from tessera.params.load import Params
from tessera.tasks import build_task

SCRATCH = paths.SCRATCH / "pseudo"


def ask(model: str, fold: int, test: pd.DataFrame, store: PixelStore, params: Params) -> Path:
    """The store of what the network of a fold says of the images of the manifest `test`; made, unless it is there."""
    weights, section = paths.weights(model, fold), params.models[model]
    items = whole_images(test).assign(item=test.image_id, height=test.height, width=test.width)
    asked = section.model_dump(), params.predict.model_dump(), params.train.amp, store.digest, items.to_csv(index=False)
    path = SCRATCH / f"{model}-{fold}-{run_key(digest_of(weights), *asked)}.h5"
    if not path.exists():
        task = build_task(params.data.task, params.data.classes, store.flip_pairs)
        setup = Setup(section, params.predict, params.train.amp, task, store, int(test.channels.iloc[0]))
        write(path, f"pseudo-{model}-{fold}", [weights], setup, items, {"model": model, "fold": fold})
    return path


def forget() -> None:
    """Removes what networks have said: for the round that is made, and for those that were given up."""
    for store in SCRATCH.glob("*.h5"):
        store.unlink()

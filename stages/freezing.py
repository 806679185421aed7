"""The labels of a round: networks predict the test images again, a fold at a time, and what they say becomes labels."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import h5py
import pandas as pd
from tqdm import tqdm

from stages.predicting import Setup, write
from tessera import paths
from tessera.data.manifest import TEST, TRAIN, read_manifest
from tessera.data.parts import read_folds, whole_images
from tessera.data.pixels import PixelStore
from tessera.data.rounds import Made, write_fit
from tessera.decide.pseudo import Labelling
from tessera.learn.checkpoints import digest_of, read_about
from tessera.params.load import Params
from tessera.predict.guard import refuse_seen
from tessera.predict.store import ProbabilityStore
from tessera.tasks import build_task


def write_round(path: Path, about: dict, labelling: Labelling, params: Params) -> None:
    """Writes a round with the attributes `about`; probabilities come and go in scratch/.

    Raises InputError when a checkpoint has seen what its fold holds out.
    """
    manifest, parts, models = read_manifest(paths.CLEAN), read_folds(paths.FOLDS), labelling.decision.models
    train, test = (manifest[manifest.subset == subset] for subset in (TRAIN, TEST))
    seen = {fold: [read_about(paths.weights(model, fold)) for model in models] for fold in params.fold.run}
    for fold, accounts in seen.items():
        for account in accounts:
            refuse_seen(account, parts[parts.fold == fold], train, params.fold.unit, params.fold.buffer)
    with ExitStack() as stack, h5py.File(path, "w") as file:
        file.attrs.update(about)
        stores = []
        for fold, accounts in seen.items():
            files = {model: stack.enter_context(paths.scratch_file(f"pseudo-{model}-{fold}.h5")) for model in models}
            for model, scratch in files.items():
                _predict(scratch, model, fold, test, labelling.store, params)
            stores.append({model: ProbabilityStore(scratch) for model, scratch in files.items()})
            digests = [digest_of(paths.weights(model, fold)) for model in models]
            write_fit(file, str(fold), accounts, digests, _shown(fold, labelling, test, stores[-1:]))
        write_fit(file, paths.FULL, [], about["checkpoints"], _shown(paths.FULL, labelling, test, stores))


def _predict(path: Path, model: str, fold: int, test: pd.DataFrame, store: PixelStore, params: Params) -> None:
    """Writes what the network of a fold says of the test images."""
    task = build_task(params.data.task, params.data.classes, store.flip_pairs)
    setup = Setup(params.models[model], params.predict, params.train.amp, task, store, int(test.channels.iloc[0]))
    items = whole_images(test).assign(item=test.image_id, height=test.height, width=test.width)
    write(path, f"pseudo-{model}-{fold}", [paths.weights(model, fold)], setup, items, {"model": model, "fold": fold})


def _shown(
    fit: int | str, labelling: Labelling, test: pd.DataFrame, stores: list[dict[str, ProbabilityStore]]
) -> Iterator[Made]:
    """The labels of a fit, with a bar that shows how many images are done."""
    return tqdm(labelling.images(test, stores), f"labels {fit}", len(test), unit="image", disable=None)

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
from tessera.data.stacks import Stack
from tessera.decide.decision import Decision
from tessera.decide.pseudo import Labelling
from tessera.learn.checkpoints import digest_of, read_about
from tessera.params.load import Params
from tessera.predict.guard import refuse_seen
from tessera.predict.store import ProbabilityStore
from tessera.tasks import build_task

Decisions = dict[int | str, Decision]  # by fit: the declared folds, then paths.FULL


def networks_of(decisions: Decisions) -> dict[int, list[str]]:
    """fold → the models whose networks are asked: those of its own decision, and of the one on all folds."""
    full = decisions[paths.FULL].models
    return {fold: list(dict.fromkeys([*own.models, *full])) for fold, own in decisions.items() if fold != paths.FULL}


def write_round(path: Path, about: dict, decisions: Decisions, store: PixelStore, params: Params) -> None:
    """Writes a round with the attributes `about`; probabilities come and go in scratch/.

    Raises InputError when a checkpoint has seen what its fold holds out.
    """
    networks, test, stores = networks_of(decisions), read_manifest(paths.CLEAN, TEST), []
    accounts = {(model, fold): read_about(paths.weights(model, fold)) for fold in networks for model in networks[fold]}
    _refuse_seen(accounts, params)
    with ExitStack() as stack, h5py.File(path, "w") as file:
        file.attrs.update(about)
        for fold, models in networks.items():
            files = {model: stack.enter_context(paths.scratch_file(f"pseudo-{model}-{fold}.h5")) for model in models}
            for model, scratch in files.items():
                _predict(scratch, model, fold, test, store, params)
            stores.append({model: ProbabilityStore(scratch) for model, scratch in files.items()})
            own = decisions[fold].models
            digests = [digest_of(paths.weights(model, fold)) for model in own]
            labels = _labels(fold, decisions[fold], test, stores[-1:], store, params)
            write_fit(file, str(fold), [accounts[model, fold] for model in own], digests, labels)
        full = decisions[paths.FULL]
        digests = [digest_of(paths.weights(model, fold)) for fold in networks for model in full.models]
        write_fit(file, paths.FULL, [], digests, _labels(paths.FULL, full, test, stores, store, params))


def _refuse_seen(accounts: dict[tuple[str, int], dict], params: Params) -> None:
    train, parts = read_manifest(paths.CLEAN, TRAIN), read_folds(paths.FOLDS)
    for (_, fold), account in accounts.items():
        refuse_seen(account, parts[parts.fold == fold], train, params.fold.unit, params.fold.buffer)


def _predict(path: Path, model: str, fold: int, test: pd.DataFrame, store: PixelStore, params: Params) -> None:
    """Writes what the network of a fold says of the test images."""
    task = build_task(params.data.task, params.data.classes, store.flip_pairs)
    setup = Setup(params.models[model], params.predict, params.train.amp, task, store, int(test.channels.iloc[0]))
    items = whole_images(test).assign(item=test.image_id, height=test.height, width=test.width)
    write(path, f"pseudo-{model}-{fold}", [paths.weights(model, fold)], setup, items, {"model": model, "fold": fold})


def _labels(
    fit: int | str,
    decision: Decision,
    test: pd.DataFrame,
    stores: list[dict[str, ProbabilityStore]],
    store: PixelStore,
    params: Params,
) -> Iterator[Made]:
    """The labels of a fit, with a bar that shows how many images are done."""
    stacks = [Stack.of(params.models[model]) for model in decision.models]
    labelling = Labelling(params.pseudo, decision, len(params.data.classes), stacks, store)
    return tqdm(labelling.images(test, stores), f"labels {fit}", len(test), unit="image", disable=None)

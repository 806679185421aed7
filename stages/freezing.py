"""The labels of a round: networks predict the test images again, a fold at a time, and what they say becomes labels."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import pandas as pd
from tqdm import tqdm

from stages.asking import ask
from tessera import paths
from tessera.data.manifest import TEST, TRAIN, read_manifest
from tessera.data.parts import read_folds
from tessera.data.pixels import PixelStore
from tessera.data.rounds import Made, write_fit
from tessera.data.stacks import Stack
from tessera.decide.decision import Decision
from tessera.decide.pseudo import Labelling
from tessera.learn.checkpoints import digest_of, read_about
from tessera.params.load import Params
from tessera.predict.guard import refuse_seen
from tessera.predict.store import ProbabilityStore

Decisions = dict[int | str, Decision]  # by fit: the declared folds, then paths.FULL


def networks_of(decisions: Decisions) -> dict[int, list[str]]:
    """fold → the models whose networks are asked: those of its own decision, and of the one on all folds."""
    full = decisions[paths.FULL].models
    return {fold: list(dict.fromkeys([*own.models, *full])) for fold, own in decisions.items() if fold != paths.FULL}


def write_round(path: Path, about: dict, decisions: Decisions, store: PixelStore, params: Params) -> None:
    """Writes a round with the attributes `about`.

    Raises InputError when a checkpoint has seen what its fold holds out.
    """
    networks, test, stores = networks_of(decisions), read_manifest(paths.CLEAN, TEST), []
    accounts = {(model, fold): read_about(paths.weights(model, fold)) for fold in networks for model in networks[fold]}
    _refuse_seen(accounts, params)
    with h5py.File(path, "w") as file:
        file.attrs.update(about)
        for fold, models in networks.items():
            stores.append({model: ProbabilityStore(ask(model, fold, test, store, params)) for model in models})
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

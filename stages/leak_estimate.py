"""leak_estimate: what a random split would have reported beside the grouped one, as a number.

No stage: run it by hand after `dvc repro fold`. It trains the first model of params.yaml twice on its first fold, once
on each split, and writes nothing.
"""

import shutil

import numpy as np
import pandas as pd

from stages.command import command
from tessera import machine, paths
from tessera.data.boxes import in_working_px
from tessera.data.manifest import read_manifest
from tessera.data.parts import read_folds
from tessera.data.pixels import PixelStore
from tessera.data.random_split import random_split
from tessera.learn.lock import locked
from tessera.learn.placing import place_training
from tessera.learn.progress import Clock
from tessera.learn.resume import run_key
from tessera.learn.training import Training
from tessera.params.load import Params, load_params
from tessera.tasks import build_task

FOLDER = paths.SCRATCH / "leak_estimate"


def main() -> None:
    params = load_params()
    name, fold, size = params.train.models[0], params.fold.run[0], params.tile.size
    model = params.models[name]
    store, parts, manifest = PixelStore(paths.TILES), read_folds(paths.FOLDS), read_manifest(paths.CLEAN, "train")
    patches, _, grouped = place_training(
        pd.read_parquet(paths.PATCHES), size, model, store, manifest, parts, fold, params.fold.buffer
    )
    dealt, pieces, unit = random_split(patches, parts, params.fold.count, params.fold.seed)

    print(
        f"trains {name} twice for {model.epochs} epochs: on the folds of {paths.FOLDS}, and on {unit} dealt at random"
    )
    both = in_working_px(pieces[(pieces.fold == fold) & (pieces.honest == fold)], store, manifest)
    rows = []
    with locked(FOLDER.with_suffix(".lock")):
        for split, mine in (("grouped", grouped), ("random", dealt != fold)):
            score = _score(params, split, store, patches[mine], both, manifest)
            rows.append((split, int(np.sum(mine)), score))
        shutil.rmtree(FOLDER)

    table = pd.DataFrame(rows, columns=["split", "training patches", "score"])
    print(f"\n{name}, fold {fold}, last epoch; Dice at probability 0.5 over the {len(both)} {unit} that both hold out")
    print(table.to_string(index=False, float_format="{:.4f}".format))
    print(
        f"the price of the leak: {100 * (table.score[1] - table.score[0]):+.2f} points. The random split is blind to "
        "groups and buffer. One fold, one seed: a point or two either way can be chance."
    )


def _score(
    params: Params, split: str, store: PixelStore, patches: pd.DataFrame, held_out: pd.DataFrame, manifest: pd.DataFrame
) -> float:
    """The held-out score after the last epoch; killed, a later run goes on from where it was."""
    name = params.train.models[0]
    model = params.models[name]
    task = build_task(params.data.task, params.data.classes, store.flip_pairs)
    training = Training(model, task, params.train.amp, machine.here())
    key = run_key(split, model.model_dump(), params.train.amp, store.digest, patches.to_csv(), held_out.to_csv())
    channels, clock = int(manifest.channels.iloc[0]), Clock(f"{name} {split}", model.epochs)
    run = training.fit(store, patches, held_out, params.tile.size, channels, FOLDER / f"{key}.pt", clock)
    return run.history[-1]["score"]


if __name__ == "__main__":
    command(main)

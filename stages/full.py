"""full: one model on all folds at once, for its own number of epochs. No fold is left to score it."""

import pandas as pd

from stages.command import command
from stages.fit import run
from tessera import paths
from tessera.data.manifest import read_manifest
from tessera.data.pixels import PixelStore
from tessera.learn.fit import Fit
from tessera.learn.launch import launch
from tessera.learn.placing import place_everywhere
from tessera.params.load import load_params
from tessera.tasks import build_task


def main(model: str) -> None:
    launch(rank, model)


def rank(model: str) -> None:
    run(prepare(model))


def prepare(model: str) -> Fit:
    """The training on all folds."""
    params = load_params()
    section, size = params.models[model], params.tile.size
    store, manifest = PixelStore(paths.TILES), read_manifest(paths.CLEAN, "train")
    task = build_task(params.data.task, params.data.classes, store.flip_pairs)
    patches, windows = place_everywhere(pd.read_parquet(paths.PATCHES), size, section, store, manifest)
    return Fit(model, paths.FULL, section, task, params.train.amp, size, store, manifest, patches, windows, None)


if __name__ == "__main__":
    command(main)

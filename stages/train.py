"""train: one model, one fold. Killed, it goes on from its last saved step, to the same weights."""

import pandas as pd

from stages.command import command
from stages.fit import run
from tessera import paths
from tessera.data.boxes import in_working_px
from tessera.data.manifest import read_manifest
from tessera.data.parts import read_folds
from tessera.data.pixels import PixelStore
from tessera.learn.fit import Fit
from tessera.learn.launch import launch
from tessera.learn.placing import place_training
from tessera.params.load import load_params
from tessera.tasks import build_task


def main(model: str, fold: int) -> None:
    launch(rank, model, fold)


def rank(model: str, fold: int) -> None:
    run(prepare(model, fold))


def prepare(model: str, fold: int) -> Fit:
    """The training beside a fold."""
    params = load_params()
    section, size = params.models[model], params.tile.size
    store, parts, manifest = PixelStore(paths.TILES), read_folds(paths.FOLDS), read_manifest(paths.CLEAN, "train")
    task = build_task(params.data.task, params.data.classes, store.flip_pairs)
    patches, windows, kept = place_training(
        pd.read_parquet(paths.PATCHES), size, section, store, manifest, parts, fold, params.fold.buffer
    )
    held_out = in_working_px(parts[parts.fold == fold], store, manifest)
    return Fit(
        model, fold, section, task, params.train.amp, size, store, manifest, patches[kept], windows[kept], held_out
    )


if __name__ == "__main__":
    command(main)

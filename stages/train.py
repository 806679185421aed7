"""train: one model, one fold. Killed, it goes on from its last saved step, to the same weights."""

import json
import shutil

import pandas as pd

from stages.command import command
from tessera import machine, paths
from tessera.data.boxes import in_working_px
from tessera.data.manifest import read_manifest
from tessera.data.parts import read_folds
from tessera.data.pixels import PixelStore
from tessera.learn import ranks
from tessera.learn.checkpoints import save_checkpoint
from tessera.learn.launch import launch
from tessera.learn.lock import locked
from tessera.learn.networks.licences import licence_of
from tessera.learn.placing import place_training
from tessera.learn.progress import Clock
from tessera.learn.record import describe, describe_seen
from tessera.learn.resume import run_key
from tessera.learn.training import Training
from tessera.params.load import load_params
from tessera.tasks import build_task

SCRATCH = paths.SCRATCH / "train"


def main(model: str, fold: int) -> None:
    launch(rank, model, fold)


def rank(model: str, fold: int) -> None:
    with locked(SCRATCH / f"{model}-{fold}.lock"):
        train(model, fold)


def train(model: str, fold: int) -> None:
    params = load_params()
    section = params.models[model]
    store, parts, manifest = PixelStore(paths.TILES), read_folds(paths.FOLDS), read_manifest(paths.MANIFEST, "train")
    patches, windows, kept = place_training(
        pd.read_parquet(paths.PATCHES), params.tile.size, section, store, manifest, parts, fold, params.fold.buffer
    )
    said = describe_seen(windows[kept], manifest) | {
        "model": model, "fold": fold, "params": section.model_dump(), "amp": params.train.amp, "data_digest": store.digest,
        "licence": licence_of(section),
        "selected_on_validation": section.selected_on_validation,
    }  # fmt: skip
    scratch = SCRATCH / f"{model}-{fold}-{run_key(said)}"

    here, task = machine.here(), build_task(params.data.task, params.data.classes, store.flip_pairs)
    training = Training(section, task, params.train.amp, here)
    clock = Clock(f"{model} fold {fold}", section.epochs)
    held_out = in_working_px(parts[parts.fold == fold], store, manifest)
    channels = int(manifest.channels.iloc[0])
    if ranks.first():
        with paths.writing(paths.first_batch(model, fold)) as path:
            training.draw_first_batch(path, store, patches[kept], params.tile.size, channels)
    run = training.fit(store, patches[kept], held_out, params.tile.size, channels, scratch / "state.pt", clock)
    if not ranks.first():
        return

    about, record = describe(said, run, clock, here.device, training.loader)
    with paths.writing(paths.weights(model, fold)) as path:
        run.kept.finish(run.ema.network)
        save_checkpoint(path, run.ema.network, about)
    with paths.writing(paths.history(model, fold)) as path:
        pd.DataFrame(run.history).to_csv(path, index=False)
    with paths.writing(paths.record(model, fold)) as path:
        path.write_text(json.dumps(record, indent=1) + "\n")
    for state in scratch.parent.glob(f"{model}-{fold}-*"):  # of this run, and of runs that were given up
        shutil.rmtree(state)
    clock.end(record)


if __name__ == "__main__":
    command(main)

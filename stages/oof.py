"""oof: predicts exactly the parts that this checkpoint has never seen."""

from stages.command import command
from stages.predicting import Setup, write
from tessera import paths
from tessera.data.manifest import read_manifest
from tessera.data.parts import read_folds
from tessera.data.pixels import PixelStore
from tessera.learn.checkpoints import read_about
from tessera.params.load import load_params
from tessera.predict.guard import refuse_seen
from tessera.tasks import build_task


def main(model: str, fold: int) -> None:
    params = load_params()
    store, manifest, parts = PixelStore(paths.TILES), read_manifest(paths.CLEAN, "train"), read_folds(paths.FOLDS)
    task = build_task(params.data.task, params.data.classes, store.flip_pairs)
    setup = Setup(params.models[model], params.predict, params.train.amp, task, store, int(manifest.channels.iloc[0]))
    parts = parts[parts.fold == fold]
    weights = paths.weights(model, fold)
    refuse_seen(read_about(weights), parts, manifest, params.fold.unit, params.fold.buffer)

    items = parts.merge(manifest[["image_id", "height", "width"]], on="image_id").rename(columns={"part_id": "item"})
    write(paths.oof(model, fold), f"{model}-{fold}", [weights], setup, items, {"model": model, "fold": fold})


if __name__ == "__main__":
    command(main)

"""oof: predicts exactly the parts that this checkpoint has never seen."""

from functools import partial

from stages.command import command
from tessera import machine, paths
from tessera.data.manifest import read_manifest
from tessera.data.parts import read_folds
from tessera.data.pixels import PixelStore
from tessera.learn.checkpoints import digest_of, load_checkpoint, read_about
from tessera.learn.networks.build import build_network
from tessera.learn.precision import autocast
from tessera.params.load import load_params
from tessera.predict.guard import refuse_seen
from tessera.predict.predictor import Predictor
from tessera.predict.write import write_predictions
from tessera.tasks import build_task


def main(model: str, fold: int) -> None:
    params = load_params()
    section, device, store = params.models[model], machine.device(), PixelStore(paths.TILES)
    task = build_task(params.data.task, params.data.classes, store.flip_pairs)
    manifest, parts = read_manifest(paths.CLEAN, "train"), read_folds(paths.FOLDS)
    parts = parts[parts.fold == fold]
    weights = paths.weights(model, fold)
    refuse_seen(read_about(weights), parts, manifest, params.fold.unit, params.fold.buffer)

    network = build_network(section, int(manifest.channels.iloc[0]), task.channels, pretrained=False)
    network = load_checkpoint(weights, network, device)
    predictor = Predictor([network], section, params.predict, task, device, partial(autocast, device, params.train.amp))
    items = parts.merge(manifest[["image_id", "height", "width"]], on="image_id").rename(columns={"part_id": "item"})
    about = {"model": model, "fold": fold, "checkpoints": [digest_of(weights)]}
    with paths.writing(paths.oof(model, fold)) as path:
        write_predictions(path, predictor, store, items, about)


if __name__ == "__main__":
    command(main)

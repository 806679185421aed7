"""predict: the test images, mean over the folds' networks and, if params say so, the one that was trained on all."""

from functools import partial

from stages.command import command
from tessera import machine, paths
from tessera.data.manifest import read_manifest
from tessera.data.parts import whole_images
from tessera.data.pixels import PixelStore
from tessera.learn.checkpoints import digest_of, load_checkpoint
from tessera.learn.networks.build import build_network
from tessera.learn.precision import autocast
from tessera.params.load import load_params
from tessera.predict.predictor import Predictor
from tessera.predict.write import write_predictions
from tessera.tasks import build_task


def main(model: str) -> None:
    params = load_params()
    section, device, store = params.models[model], machine.device(), PixelStore(paths.TILES)
    task = build_task(params.data.task, params.data.classes, store.flip_pairs)
    manifest = read_manifest(paths.CLEAN)
    channels = int(manifest.channels.iloc[0])
    weights = paths.predicting(model, params.fold.run, params.train.full, params.train.full_use)
    folds = [paths.weights(model, fold) for fold in params.fold.run]
    for line in paths.undeclared(f"checkpoints/weights/{model}/*", [*folds, *weights]):
        print(line)
    networks = [
        load_checkpoint(path, build_network(section, channels, task.channels, pretrained=False), device)
        for path in weights
    ]
    predictor = Predictor(networks, section, params.predict, task, device, partial(autocast, device, params.train.amp))
    test = manifest[manifest.subset == "test"]
    items = whole_images(test).assign(item=test.image_id, height=test.height, width=test.width)
    about = {"model": model, "checkpoints": [digest_of(path) for path in weights]}
    with paths.writing(paths.predictions(model)) as path:
        write_predictions(path, predictor, store, items, about)


if __name__ == "__main__":
    command(main)

"""predict: the test images, mean over the folds' networks and, if params say so, the one that was trained on all."""

from stages.command import command
from stages.predicting import Setup, write
from tessera import paths
from tessera.data.manifest import read_manifest
from tessera.data.parts import whole_images
from tessera.data.pixels import PixelStore
from tessera.params.load import load_params
from tessera.tasks import build_task


def main(model: str) -> None:
    params = load_params()
    store, manifest = PixelStore(paths.TILES), read_manifest(paths.CLEAN)
    task = build_task(params.data.task, params.data.classes, store.flip_pairs)
    setup = Setup(params.models[model], params.predict, params.train.amp, task, store, int(manifest.channels.iloc[0]))
    weights = paths.predicting(model, params.fold.run, params.train.full, params.train.full_use)
    folds = [paths.weights(model, fold) for fold in params.fold.run]
    for line in paths.undeclared(f"checkpoints/weights/{model}/*", [*folds, *weights]):
        print(line)
    test = manifest[manifest.subset == "test"]
    items = whole_images(test).assign(item=test.image_id, height=test.height, width=test.width)
    write(paths.predictions(model), f"{model}-test", weights, setup, items, {"model": model})


if __name__ == "__main__":
    command(main)

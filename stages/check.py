"""check: builds the network and tries `augment` of every model that would be trained, before days of training.

No stage: run it by hand after an edit of params.yaml. It reads data/clean.csv, and writes nothing.
"""

import pandas as pd
import torch

from stages.command import command
from tessera import paths
from tessera.data.manifest import read_manifest
from tessera.errors import InputError, collected, raise_problems
from tessera.learn.augmentations.build import build_augmentation
from tessera.learn.networks.build import build_network, parameters_of
from tessera.params.load import load_params
from tessera.params.model import Model
from tessera.tasks import build_task


def main() -> None:
    params = load_params()
    task = build_task(params.data.task, params.data.classes)
    channels = int(read_manifest(paths.CLEAN, "train").channels.iloc[0])
    rows, problems = [], []
    for name in params.train.models:  # those of train.full are among them
        model = params.models[name]
        with collected(problems, f"models.{name}: "):
            build_augmentation(model, channels, task)
        with collected(problems, f"models.{name}: "):
            rows.append((name, _parameters(model, channels, task.channels), model.size, model.slices, model.batch))
    raise_problems("params.yaml cannot be trained", problems)
    table = pd.DataFrame(rows, columns=["model", "parameters", "window px", "slices", "batch"])
    print(table.to_string(index=False, formatters={"parameters": "{:,}".format}))


def _parameters(model: Model, channels: int, classes: int) -> int:
    """Those of its network, built where it takes no memory, or on the CPU where its encoder cannot be built there."""
    try:
        with torch.device("meta"):
            return parameters_of(build_network(model, channels, classes, pretrained=False))
    except InputError:
        return parameters_of(build_network(model, channels, classes, pretrained=False))


if __name__ == "__main__":
    command(main)

"""check: builds what params.yaml names, and lists all that is wrong with it, before days of training.

Every model that would be trained: its network, with local weights, `augment` and domains; the sample submission and the
solution, as `submit` would read them. No stage: run it by hand after an edit. It reads data/clean.csv and the raw files.
"""

from contextlib import suppress
from pathlib import Path

import pandas as pd
import torch

from stages.command import command
from tessera import paths
from tessera.data.csv_names import csv_names
from tessera.data.manifest import TEST, TRAIN, read_manifest
from tessera.data.template import build_template
from tessera.decide.evidence import test_rows
from tessera.deliver.dialects.build import build_dialect
from tessera.deliver.submission import rows_asked_for, shapes_of
from tessera.errors import InputError, collected, raise_problems
from tessera.labels import read_csv
from tessera.learn.augmentations.build import build_augmentation
from tessera.learn.networks.build import build_network, parameters_of
from tessera.learn.networks.trial import tried
from tessera.learn.sampling import check_domains
from tessera.params.data import Data
from tessera.params.load import load_params
from tessera.params.model import Model
from tessera.tasks import build_task


def main() -> None:
    params = load_params()
    manifest = read_manifest(paths.CLEAN)
    task = build_task(params.data.task, params.data.classes)
    training = manifest[manifest.subset == TRAIN]
    channels = int(training.channels.iloc[0])
    rows, problems = [], []
    for name in params.train.models:  # those of train.full are among them
        model = params.models[name]
        with collected(problems, f"models.{name}: "):
            build_augmentation(model, channels, task)
        with collected(problems, f"models.{name}: "):
            check_domains(model, training)
        with collected(problems, f"models.{name}: "):
            rows.append((name, _parameters(model, channels, task.channels), model.size, model.slices, model.batch))
    if Path(params.data.source).is_dir():
        problems += _submission(params.submit.dialect, params.data, manifest[manifest.subset == TEST])
    else:
        print(f"{params.data.source} is not here: sample submission and solution are not looked at")
    raise_problems("params.yaml cannot be trained, or its predictions not handed in", problems)
    table = pd.DataFrame(rows, columns=["model", "parameters", "window px", "slices", "batch"])
    print(table.to_string(index=False, formatters={"parameters": "{:,}".format}))


def _parameters(model: Model, channels: int, classes: int) -> int:
    """Those of its network, tried on the meta device; or on the CPU, with local weights or where the former cannot be."""
    if not model.weights_file:
        with suppress(InputError), torch.device("meta"):
            return parameters_of(tried(build_network(model, channels, classes, pretrained=False), model, classes))
    return parameters_of(tried(build_network(model, channels, classes, bool(model.weights_file)), model, classes))


def _submission(name: str, data: Data, tests: pd.DataFrame) -> list[str]:
    """What `submit` would refuse of the competition's own files. name: of the dialect; tests: the test images."""
    dialect, problems = build_dialect(name, data.classes, csv_names(data)), []
    with collected(problems):
        template = build_template(data, tests)
        shapes = shapes_of(rows_asked_for(test_rows(tests, data.pixel_size), template, data))
        problems += dialect.unreadable(template, shapes)
    if data.solution:
        with collected(problems, "data.solution: "):
            path = Path(data.source) / data.solution
            dialect.names.find(path, list(read_csv(path).columns), dialect.by_class)
    return problems


if __name__ == "__main__":
    command(main)

"""sample: makes the embedded sample competition in its own folder, whatever data.source is."""

import shutil

from stages.command import command
from tessera import paths
from tessera.data.sample import write_sample
from tessera.params.load import load_params


def main() -> None:
    params = load_params()
    shutil.rmtree(paths.SAMPLE, ignore_errors=True)  # of other sample params
    write_sample(paths.SAMPLE, **params.sample.model_dump())


if __name__ == "__main__":
    command(main)

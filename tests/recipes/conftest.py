"""Runs a shipped recipe from raw files to folds, in a folder of its own.

A test module says which one: RECIPE, its name; SMALL, by section, the keys shrunk with the images; and
`write_competition(source)`, which writes such raw files.
"""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pandas as pd
import pytest
import yaml
from closure import ROOT
from repository import inside, run_stage

from tessera import paths
from tessera.data.manifest import read_manifest
from tessera.data.parts import read_folds
from tessera.data.pixels import PixelStore
from tessera.params.load import Params, load_params


class Prepared(NamedTuple):
    """What ingest, tile and fold wrote."""

    params: Params
    manifest: pd.DataFrame  # by image_id
    template: pd.DataFrame
    store: PixelStore
    patches: pd.DataFrame
    parts: pd.DataFrame


@pytest.fixture(scope="module")
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The recipe's run."""
    return _prepare(request.module, tmp_path_factory.mktemp(request.module.RECIPE))


@pytest.fixture
def prepare(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Prepared]:
    """A function (change, section=…) that runs the recipe after `change(source)`, with keys of sections updated."""
    return lambda change=lambda source: None, **keys: _prepare(request.module, tmp_path, change, **keys)


def _prepare(
    module: ModuleType, folder: Path, change: Callable[[Path], object] = lambda source: None, **keys: dict[str, object]
) -> Prepared:
    values = yaml.safe_load((ROOT / f"recipes/{module.RECIPE}.yaml").read_text())
    for changed in (module.SMALL, keys):
        for section, updates in changed.items():
            values[section] |= updates
    source = folder / values["data"]["source"]
    source.mkdir(parents=True)
    module.write_competition(source)
    change(source)
    with inside(folder, values):
        for stage in ("ingest", "tile", "clean", "fold"):
            run_stage(stage)
        return Prepared(
            load_params(), read_manifest(paths.MANIFEST).set_index("image_id"),
            pd.read_csv(paths.SAMPLE_SUBMISSION, dtype=str, keep_default_na=False), PixelStore(paths.TILES.absolute()),
            pd.read_parquet(paths.PATCHES), read_folds(paths.FOLDS),
        )  # fmt: skip

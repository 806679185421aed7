"""What the stages after the predictions decide on, check and show: out-of-fold predictions beside their truth."""

from typing import TYPE_CHECKING

from tessera import paths
from tessera.data.manifest import read_manifest
from tessera.data.parts import read_folds
from tessera.data.pixels import PixelStore
from tessera.decide.evidence import Evidence, oof_rows
from tessera.tasks import build_task

if TYPE_CHECKING:
    from tessera.params.data import Data


def oof_evidence(models: list[str], folds: list[int], views: list[str], data: "Data") -> Evidence:
    """The rows of all parts of the declared folds, with the declared models' out-of-fold predictions."""
    rows = oof_rows(read_folds(paths.FOLDS), read_manifest(paths.CLEAN, "train"), folds, data.pixel_size)
    stores = {model: {fold: paths.oof(model, fold) for fold in folds} for model in models}
    return Evidence(rows, stores, views, PixelStore(paths.TILES), build_task(data.task, data.classes))

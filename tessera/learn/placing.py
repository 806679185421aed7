"""Which candidate patches train a model beside a fold, what their windows read, and where training is scored."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from tessera.data.boxes import BOX, in_label_slices, in_original_px
from tessera.data.parts import check_windows, place_patches, training_patches
from tessera.data.pixels import PixelStore
from tessera.errors import InputError
from tessera.learn.dataset import Shape, covered, windows_of
from tessera.learn.sampling import with_kinds

if TYPE_CHECKING:
    from tessera.params.model import Model


class Placed(NamedTuple):
    """Candidate patches that the model can read, row by row."""

    patches: pd.DataFrame  # with their bounds in original px
    windows: pd.DataFrame  # what training may read of each, boxes in original px
    kept: np.ndarray  # bool: those that train


def place_everywhere(
    candidates: pd.DataFrame, size: int, model: "Model", store: PixelStore, manifest: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Candidate patches (of `size` working px) of the manifest's images with their bounds in original px, and what the
    model's training may read of each, as boxes in original px.

    Both row by row. Left out are labels of slices outside the model's `depths`. Raises InputError when no patch is left.
    """
    shape = Shape.of(model)
    patches = with_kinds(place_patches(candidates, size, store, manifest), manifest, model)
    patches = patches[shape.stack.shown(patches, store)].reset_index(drop=True)
    if patches.empty:
        raise InputError(f"no candidate patch lies within depths {model.depths} of the model: widen or drop them")
    windows = in_original_px(covered(patches, size, shape, store), store, manifest)
    return patches, windows


def place_training(
    candidates: pd.DataFrame,
    size: int,
    model: "Model",
    store: PixelStore,
    manifest: pd.DataFrame,
    parts: pd.DataFrame,
    fold: int,
    buffer: int,
) -> Placed:
    """`place_everywhere`; those train that may beside the fold.

    Raises InputError when none may, or a window comes nearer than `buffer` to a part of the fold.
    """
    patches, windows = place_everywhere(candidates, size, model, store, manifest)
    kept = training_patches(patches, windows, parts, fold, buffer, model.half_depth)
    check_windows(windows[kept], parts, fold, buffer)
    return Placed(patches, windows, kept)


def place_scored(held_out: pd.DataFrame | None, shape: Shape, store: PixelStore) -> pd.DataFrame:
    """`windows_of` the held-out parts (boxes in working px), in those slices that the model predicts.

    Raises InputError when it predicts none of them.
    """
    if held_out is None:
        return windows_of(pd.DataFrame(columns=BOX), shape.span)
    windows = windows_of(in_label_slices(held_out, store), shape.span)
    windows = windows[shape.stack.shown(windows, store)]
    if windows.empty:
        raise InputError(f"the held-out fold has no slice within depths {shape.stack.depths}: widen or drop them")
    return windows

"""Candidate patches of a round of pseudo-labels: what a training draws beside the labelled ones."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tessera.data.patches import COLUMNS, drop_background, drop_empty, index_slice
from tessera.data.pixels import PixelStore
from tessera.data.rounds import OWN, Labels, Round
from tessera.errors import InputError, raise_problems
from tessera.tasks import hardened

if TYPE_CHECKING:
    from tessera.params.tile import Tile


def index_round(
    one: Round, fit: str, store: PixelStore, test: pd.DataFrame, tile: "Tile", classes: list[str]
) -> pd.DataFrame:
    """The candidate patches of a fit, found as `write_tiles` finds those of labelled images, with `OWN`.

    test: the manifest of the test images. Raises InputError when the round has no such fit, no patch, or labels of other
    classes or images than those of now.
    """
    if (own := list(one.about.get("classes", ()))) != classes:
        raise InputError(
            f"round {one.name} has labels of {', '.join(own) or 'unnamed classes'}, data.classes are {', '.join(classes)}: "
            "make a new one with `python -m stages.pseudo <round>`"
        )
    if fit not in one.fits:
        raise InputError(
            f"round {one.name} has labels for {', '.join(one.fits)} and none for {fit}: its folds were others; make a new "
            "one with `python -m stages.pseudo <round>`"
        )
    images = one.fits[fit].images
    sources = dict(zip(test.image_id, test.digest, strict=True))
    problems = [reason for name, labels in images.items() if (reason := _unlike(name, labels, store, sources))]
    raise_problems(f"round {one.name} labels other images than those of now; make a new one", problems)
    patches = [
        _index_slice(name, z, labels, store, tile, classes)
        for name, labels in images.items()
        for z in range(labels.shape[0])
    ]
    found = drop_empty(pd.concat(patches, ignore_index=True), tile.keep_empty, seed=0)
    if found.empty:
        raise InputError(f"round {one.name} has no patch to train on for {fit}; make one with narrower pseudo.bounds")
    return found.assign(**dict(zip(OWN, (one.about["weight"], one.name, one.fits[fit].digest[:16]), strict=True)))


def no_rows() -> pd.DataFrame:
    """The table of a model that names no round."""
    return pd.DataFrame(columns=[*COLUMNS, *OWN])


def _unlike(name: str, labels: Labels, store: PixelStore, sources: dict[str, str]) -> str:
    """Why the labels of an image do not fit it; empty when they do."""
    if name not in sources:
        return f"{name} is no test image"
    if sources[name] != labels.source:
        return f"the file of {name} is another one"
    shape = (store.depth(name).labelled, *store.shape(name)[1:])
    return "" if labels.shape[:3] == shape else f"{name} is {shape} (slices, px, px), its labels are {labels.shape[:3]}"


def _index_slice(
    name: str, z: int, labels: Labels, store: PixelStore, tile: "Tile", classes: list[str]
) -> pd.DataFrame:
    patches = index_slice(_Hard(labels.array[z]), tile.size, tile.stride, classes)
    if tile.min_std or tile.min_saturated:
        shown = store.pixels(name)[store.depth(name).slice_of(z)]
        patches = drop_background(patches, shown, tile.size, tile.min_std, tile.min_saturated)
    patches.insert(0, "image_id", name)
    patches.insert(1, "z", z)
    return patches


class _Hard:
    """Soft labels as hard ones, made when rows are asked for."""

    def __init__(self, labels: np.ndarray):
        self.labels, self.shape = labels, labels.shape

    def __getitem__(self, rows: slice) -> np.ndarray:
        return hardened(self.labels[rows])

"""data/clean.csv: the manifest without the training images that were dropped, the others with their weight."""

import difflib
from typing import TYPE_CHECKING

import pandas as pd

from tessera.data.manifest import TEST, TRAIN, WEIGHT
from tessera.errors import InputError, raise_problems

if TYPE_CHECKING:
    from tessera.params.clean import Clean


def cleaned(manifest: pd.DataFrame, clean: "Clean") -> pd.DataFrame:
    """The manifest without `clean.drop`, with the column `weight` (1 where `clean.weight` says nothing).

    Raises InputError for what is no training image, with the nearest one, and when none is left.
    """
    train = manifest[manifest.subset == TRAIN].image_id.tolist()
    tests = set(manifest[manifest.subset == TEST].image_id)
    named = [("drop", name) for name in clean.drop] + [("weight", name) for name in clean.weight]
    raise_problems(
        "clean names what is no training image",
        [f"clean.{key}: {_unknown(name, train, tests)}" for key, name in named if name not in train],
    )
    kept = manifest[(manifest.subset == TEST) | ~manifest.image_id.isin(clean.drop)].reset_index(drop=True)
    if not (kept.subset == TRAIN).any():
        raise InputError(f"clean.drop leaves none of {len(train)} training images: take some out")
    weights = [clean.weight.get(name, 1.0) if name not in tests else 1.0 for name in kept.image_id]
    return kept.assign(**{WEIGHT: weights})


def _unknown(name: str, train: list[str], tests: set[str]) -> str:
    if name in tests:
        return f"{name!r} is a test image; only training images are cleaned: take it out"
    near = difflib.get_close_matches(name, train, 1)
    return f"there is no image {name!r}; did you mean {near[0]!r}?" if near else f"there is no image {name!r}"

"""Transforms tried on a window of noise before hours of training rely on them."""

import warnings
from collections.abc import Iterator

import numpy as np

from tessera.errors import InputError
from tessera.learn.augmentations.augmentation import Augmentation
from tessera.learn.augmentations.entries import Window, build_transform, expand
from tessera.tasks import IGNORE

SEEDS = range(2)


def try_out(entries: list[dict[str, object]], window: Window) -> None:
    """Raises InputError for a transform that cannot take the window, changes its size or type, blends labels, or draws
    random numbers of its own."""
    pixels = np.random.default_rng(0)
    image = pixels.integers(0, 256, (window.size, window.size, window.channels), np.uint8)
    planes = (len(window.order),) if len(window.order) > 1 else ()
    labels = pixels.choice(np.array([0, 1, IGNORE], np.uint8), (window.size, window.size, *planes))
    for entry in leaves(entries):
        augmentation = Augmentation([build_transform(entry | {"p": 1}, window)])
        try:
            with warnings.catch_warnings(action="error", category=UserWarning):  # of what it leaves as it is
                _try(augmentation, image, labels)
        except Exception as error:  # whatever the library raises on what it cannot take
            raise InputError(
                f"augment: {entry['name']} cannot change windows of {window.size}×{window.size} px with "
                f"{window.channels} channel(s): {error}; take it out of models.<name>.augment"
            ) from None


def leaves(entries: list) -> Iterator[dict[str, object]]:
    """The transforms that change pixels, those within others too."""
    for entry in expand(entries):
        yield from leaves(entry["transforms"]) if "transforms" in entry else [entry]


def _try(augmentation: Augmentation, image: np.ndarray, labels: np.ndarray) -> None:
    """Raises ValueError saying what is wrong; and whatever the library raises."""
    for seed in SEEDS:
        found, again = (augmentation(image, labels, seed) for _ in range(2))
        for name, one, given in zip(("image", "labels"), found, (image, labels), strict=True):
            if (one.shape, one.dtype) != (given.shape, given.dtype):
                raise ValueError(f"it makes {name} {given.shape} {given.dtype} into {one.shape} {one.dtype}")
        if strange := set(np.unique(found[1])) - {0, 1, IGNORE}:
            raise ValueError(f"it gives labels the value(s) {sorted(map(int, strange))}")
        if any(not np.array_equal(one, other) for one, other in zip(found, again, strict=True)):
            raise ValueError("it draws random numbers that no seed decides")

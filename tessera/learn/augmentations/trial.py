"""Transforms tried on a window of noise before hours of training rely on them."""

import warnings
from collections.abc import Iterator

import numpy as np

from tessera.errors import InputError
from tessera.learn.augmentations.augmentation import Augmentation
from tessera.learn.augmentations.entries import Window, build_transform, expand
from tessera.tasks import IGNORE

SEEDS = range(2)  # on whole windows, which cost most
MORE_SEEDS = range(2, 40)  # on small ones: what fails for one choice in three is found out
SMALL = 64  # px


def try_out(entries: list[dict[str, object]], window: Window) -> None:
    """Raises InputError for a transform that cannot take the window, changes its size or type, blanks all images, gives
    labels that were not there, or draws random numbers of its own: each for itself, and those within others as they are
    written."""
    whole, small = _drawn(window.size, window), _drawn(min(window.size, SMALL), window)
    for entry in [*leaves(entries), *(one for one in entries if "transforms" in one)]:
        augmentation = Augmentation([build_transform(entry | {"p": 1}, window)])
        try:
            with warnings.catch_warnings(action="error", category=UserWarning):  # of what it leaves as it is
                _try(augmentation, *whole, SEEDS)
                _try_more(augmentation, whole, small)
        except Exception as error:  # whatever the library raises on what it cannot take
            raise InputError(
                f"augment: {entry['name']} cannot change windows of {window.size}×{window.size} px with "
                f"{window.channels} channel(s): {error}; take it out of models.<name>.augment"
            ) from None


def _drawn(size: int, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """An image and its labels, of noise."""
    pixels = np.random.default_rng(0)
    image = pixels.integers(0, 256, (size, size, window.channels), np.uint8)
    planes = (len(window.order),) if len(window.order) > 1 else ()
    return image, pixels.choice(np.array([0, 1, IGNORE], np.uint8), (size, size, *planes))


def _try_more(augmentation: Augmentation, whole: tuple, small: tuple) -> None:
    """Small windows are quick, but not all fit into them: what fails there is tried on whole ones."""
    try:
        _try(augmentation, *small, MORE_SEEDS)
    except Exception:
        _try(augmentation, *whole, MORE_SEEDS)


def leaves(entries: list) -> Iterator[dict[str, object]]:
    """The transforms that change pixels, those within others too."""
    for entry in expand(entries):
        yield from leaves(entry["transforms"]) if "transforms" in entry else [entry]


def _try(augmentation: Augmentation, image: np.ndarray, labels: np.ndarray, seeds: range) -> None:
    """Raises ValueError saying what is wrong; and whatever the library raises."""
    blank = True
    for seed in seeds:
        given = image, labels if seed % 2 else np.where(labels == 1, 0, labels).astype(np.uint8)  # without any object
        found = augmentation(*given, seed)
        for name, one, before in zip(("image", "labels"), found, given, strict=True):
            if (one.shape, one.dtype) != (before.shape, before.dtype):
                raise ValueError(f"it makes {name} {before.shape} {before.dtype} into {one.shape} {one.dtype}")
        blank = blank and np.ptp(found[0]) == 0
        if strange := set(np.unique(found[1])) - set(np.unique(given[1])) - {0, IGNORE}:
            raise ValueError(f"it gives labels the value(s) {sorted(map(int, strange))}, which were not there")
        again = augmentation(*given, seed) if seed in SEEDS else found
        if any(not np.array_equal(one, other) for one, other in zip(found, again, strict=True)):
            raise ValueError("it draws random numbers that no seed decides")
    if blank:
        raise ValueError("it leaves nothing of an image but one grey value")

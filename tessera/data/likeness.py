"""Near-duplicates: pictures that look alike though their files differ (re-encoded, rescaled, brightened).

A picture's hash says which of its 8 × 8 lowest frequencies are strong. Source: Zauner 2010, Implementation and
Benchmarking of Perceptual Image Hash Functions. A picture that was turned, mirrored or cut by more than a few percent
is not found, nor one slice of a volume inside another volume.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from tessera.data.pixels import PixelStore
from tessera.data.resampling import resample_pixels
from tessera.errors import InputError

SIDE = 32  # px of the grey thumbnail
FREQUENCIES = np.arange(1, 9)  # of both axes: 64 bits. 0, brightness and even illumination, has no say
WAVES = np.sqrt(2 / SIDE) * np.cos(np.pi / SIDE * np.outer(FREQUENCIES, np.arange(SIDE) + 0.5))  # rows of the DCT-II
FLAT = 1.0  # grey levels of 255 that all 64 frequencies together must draw; below, noise would decide the bits
READ = 2**24  # px read at once
BLOCK = 2**22  # pairs compared at once
LISTED = 20  # pairs in one message
SEVERAL, NO_FOLD = -1, -2  # the fold of an image whose parts are in several, of a test image


def near_duplicates(
    parts: pd.DataFrame, manifest: pd.DataFrame, store: PixelStore, distance: int, allowed: list[tuple[str, str]]
) -> tuple[list[str], list[str]]:
    """(problems, notes): images of different groups that look alike, in different folds or in train and test.

    Images of one group, as neighbours in a tissue are, may look alike: they stay together. So do, by nature, the
    slices of one volume; a volume stands here as its middle slice. Raises InputError for an unknown id in `allowed`.
    """
    strange = sorted({name for pair in allowed for name in pair} - set(manifest.image_id))
    if strange:
        raise InputError(f"fold.allow names {', '.join(strange)}: data/manifest.csv has no such image")
    hashes = hash_images(store, list(manifest.image_id))
    about = manifest.set_index("image_id").loc[hashes.index]
    numbers = parts.groupby("image_id").fold.agg(lambda own: own.iloc[0] if own.nunique() == 1 else SEVERAL)
    about["fold"] = numbers.reindex(hashes.index, fill_value=NO_FOLD)

    pairs = alike(hashes.to_numpy(), distance)
    first, second = (about.iloc[pairs[:, side]] for side in (0, 1))
    apart = (first.fold.to_numpy() != second.fold.to_numpy()) | (first.fold.to_numpy() == SEVERAL)
    for column in ("group", "digest"):  # a shared digest is an error of its own
        apart &= first[column].to_numpy() != second[column].to_numpy()
    reviewed = {frozenset(pair) for pair in allowed}
    found = [
        _said(one, other, bits)
        for one, other, bits in zip(first[apart].itertuples(), second[apart].itertuples(), pairs[apart, 2], strict=True)
        if frozenset((one.Index, other.Index)) not in reviewed
    ]
    rest = len(found) - LISTED
    more = [f"{rest} more pairs look alike; a fold.near below {distance} finds fewer"] * (rest > 0)
    flat = len(manifest) - len(hashes)
    return found[:LISTED] + more, [f"{flat} image(s) are too flat to be compared with others"] * (flat > 0)


def _said(one: NamedTuple, other: NamedTuple, bits: int) -> str:
    names = {SEVERAL: "several folds", NO_FOLD: "test"}
    places = [f"{row.Index} ({names.get(row.fold, f'fold {row.fold}')})" for row in (one, other)]
    return (
        f"{places[0]} and {places[1]} look alike, {bits} of 64 bits differ: give them one group (data.group), take one "
        f"out or, once you have looked at them, list [{one.Index}, {other.Index}] in fold.allow"
    )


def hash_images(store: PixelStore, image_ids: list[str]) -> pd.Series:
    """image_id → uint64 hash of its middle slice; a flat picture, which looks like any other, has none."""
    found = {}
    for image_id in tqdm(image_ids, desc="hash", unit="image", disable=None):
        strength = WAVES @ thumbnail(store, image_id) @ WAVES.T
        if np.sqrt((strength**2).sum()) / SIDE >= FLAT:
            found[image_id] = np.packbits(strength > np.median(strength)).view(np.uint64)[0]
    return pd.Series(found, dtype=np.uint64)


def thumbnail(store: PixelStore, image_id: str) -> np.ndarray:
    """The middle slice (32, 32) in 0…255, grey; read in bands, so that memory grows little with the image."""
    depth, height, width = store.shape(image_id)
    step = max(1, READ // width)
    bands = ((y, store.read_window(image_id, depth // 2, y, 0, step, width)) for y in range(0, height, step))
    rows = [band for _, band in resample_pixels(bands, (height, width), (SIDE, SIDE))]
    return np.concatenate(rows).mean(2)


def alike(hashes: np.ndarray, distance: int) -> np.ndarray:
    """The pairs (first, second, bits), (P, 3) int, of hashes (N,) uint64 that differ in at most `distance` bits.

    Compares blocks of all N²/2 pairs: 50,000 pictures take seconds.
    """
    step = max(1, BLOCK // max(1, len(hashes)))
    pairs = [np.empty((0, 3), int)]
    for start in range(0, len(hashes), step):
        bits = np.bitwise_count(hashes[start : start + step, None] ^ hashes[None, start:])
        first, second = np.nonzero(np.triu(bits <= distance, 1))
        pairs.append(np.stack([first + start, second + start, bits[first, second]], axis=1))
    return np.concatenate(pairs)

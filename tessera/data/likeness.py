"""Near-duplicates: pictures that look alike though their files differ (re-encoded, rescaled, brightened, turned by
90, 180 or 270°, mirrored).

A picture's hash says which of its 8 × 8 lowest frequencies are strong. Source: Zauner 2010, Implementation and
Benchmarking of Perceptual Image Hash Functions. A picture that was cut by more than a few percent is not found. A volume
stands as its slices at a quarter, half and three quarters of its depth: a copy that holds none of them is not found.
"""

import itertools

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
QUARTERS = (2, 1, 3)  # of its depth, where a volume is hashed
LISTED = 20  # pairs in one message
TURNS = list(itertools.product((False, True), repeat=3))  # axes swapped, upside down, left to right; first: as it lies
SEVERAL, NO_FOLD = -1, -2  # the fold of an image whose parts are in several, of a test image


def near_duplicates(
    parts: pd.DataFrame,
    manifest: pd.DataFrame,
    store: PixelStore,
    distance: int,
    allowed: list[tuple[str, str]],
    together: str | None = None,
) -> tuple[list[str], list[str]]:
    """(problems, notes): images of different groups that look alike, in different folds or in train and test.

    Images of one group, as neighbours in a tissue are, may look alike: they stay together. So do, by nature, the
    slices of one volume. together: what puts images into one fold, None where nothing does. Raises InputError for an
    unknown id in `allowed`.
    """
    strange = sorted({name for pair in allowed for name in pair} - set(manifest.image_id))
    if strange:
        raise InputError(f"fold.allow names {', '.join(strange)}: data/clean.csv has no such image")
    places, hashes = hash_images(store, list(manifest.image_id))
    numbers = parts.groupby("image_id").fold.agg(lambda own: own.iloc[0] if own.nunique() == 1 else SEVERAL)
    about = places.merge(manifest[["image_id", "group", "digest"]], on="image_id")  # row by row as `places`
    about["fold"] = about.image_id.map(numbers).fillna(NO_FOLD).astype(int)

    pairs = alike(hashes, distance)
    first, second = (about.iloc[pairs[:, side]].reset_index(drop=True) for side in (0, 1))
    apart = (first.fold != second.fold) | (first.fold == SEVERAL)
    for column in ("image_id", "group", "digest"):  # a shared digest is an error of its own
        apart &= first[column] != second[column]
    table = pd.DataFrame({"one": first.image_id, "other": second.image_id, "bits": pairs[:, 2]})[apart]
    nearest = table.sort_values("bits", kind="stable").drop_duplicates(["one", "other"]).sort_index()
    reviewed = {frozenset(pair) for pair in allowed}
    found = [
        _said(first.loc[n], second.loc[n], *pairs[n, 2:], together)
        for n, one, other in zip(nearest.index, nearest.one, nearest.other, strict=True)
        if frozenset((one, other)) not in reviewed
    ]
    rest = len(found) - LISTED
    more = [f"{rest} more pairs look alike; a fold.near below {distance} finds fewer"] * (rest > 0)
    flat = len(manifest) - places.image_id.nunique()
    return found[:LISTED] + more, [f"{flat} image(s) are too flat to be compared with others"] * (flat > 0)


def _said(one: pd.Series, other: pd.Series, bits: int, turn: int, together: str | None) -> str:
    names = {SEVERAL: "several folds", NO_FOLD: "test"}
    said = [
        f"{row.image_id}{f' slice {row.z}' if row.depth > 1 else ''} ({names.get(row.fold, f'fold {row.fold}')})"
        for row in (one, other)
    ]
    turned = ", one of them turned or mirrored" if turn else ""
    training = [row.image_id for row in (one, other) if row.fold != NO_FOLD]
    both = len(training) == 2
    ways = f"{together}, " if together and both else ""  # nothing brings an image together with one of the test
    ways += f"leave {'one' if both else 'the training image'} out (clean.drop: [{training[-1]}])"
    return (
        f"{said[0]} and {said[1]} look alike{turned}, {bits} of 64 bits differ: {ways} or, once you have looked at "
        f"them, list [{one.image_id}, {other.image_id}] in fold.allow"
    )


def hash_images(store: PixelStore, image_ids: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """(image_id, z, depth), a row a hashed slice, and its hashes (N, 8) uint64: as it lies, then turned and mirrored.

    A flat picture, which looks like any other, has no row.
    """
    places, hashes = [], [np.empty((0, len(TURNS)), np.uint64)]
    for image_id in tqdm(image_ids, desc="hash", unit="image", disable=None):
        depth = store.shape(image_id)[0]
        for z in dict.fromkeys(depth * quarters // 4 for quarters in QUARTERS):
            strength = WAVES @ thumbnail(store, image_id, z) @ WAVES.T
            if np.sqrt((strength**2).sum()) / SIDE >= FLAT:
                places.append((image_id, z, depth))
                hashes.append(_hashes(strength)[None])
    return pd.DataFrame(places, columns=["image_id", "z", "depth"]), np.concatenate(hashes)


def _hashes(strength: np.ndarray) -> np.ndarray:
    """The hashes (8,) uint64 of a picture with these frequencies (8, 8), turned and mirrored in every way.

    To mirror a picture changes the sign of its odd frequencies along that axis; to turn it also swaps the axes.
    """
    odd = (-1) ** FREQUENCIES
    turned = [
        (strength.T if swap else strength) * (odd[:, None] if down else 1) * (odd if across else 1)
        for swap, down, across in TURNS
    ]
    return np.array([np.packbits(one > np.median(one)).view(np.uint64)[0] for one in turned])


def thumbnail(store: PixelStore, image_id: str, z: int) -> np.ndarray:
    """A slice (32, 32) in 0…255, grey; read in bands, so that memory grows little with the image."""
    _, height, width = store.shape(image_id)
    step = max(1, READ // width)
    bands = ((y, store.read_window(image_id, z, y, 0, step, width)) for y in range(0, height, step))
    rows = [band for _, band in resample_pixels(bands, (height, width), (SIDE, SIDE))]
    return np.concatenate(rows).mean(2)


def alike(hashes: np.ndarray, distance: int) -> np.ndarray:
    """The pairs (first, second, bits, turn), (P, 4) int, of hashes (N, 8) uint64 of which the first's as it lies and the
    second's in its nearest `turn` differ in at most `distance` bits.

    Compares blocks of all N²/2 pairs: 5,000 pictures take a second, 15,000 take eight.
    """
    step = max(1, BLOCK // max(1, len(hashes)))
    turned = np.ascontiguousarray(hashes.T)
    pairs = [np.empty((0, 4), int)]
    for start in range(0, len(hashes), step):
        lying = turned[0, start : start + step, None]
        bits = np.minimum.reduce([np.bitwise_count(lying ^ one[start:]) for one in turned])
        first, second = np.nonzero(np.triu(bits <= distance, 1))
        each = np.bitwise_count(lying[first] ^ hashes[start:][second])
        pairs.append(np.stack([first + start, second + start, each.min(1), each.argmin(1)], axis=1))
    return np.concatenate(pairs)

"""What the numbers of a mask file mean: grey, colour-coded, or instances by number. Each gives planes, band by band."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tessera.data.annotations.planes import LabelSlice, empty_planes, paint
from tessera.data.annotations.volumes import OpenVolumes
from tessera.data.readers.base import Band, Channels
from tessera.errors import InputError
from tessera.tasks import IGNORE

if TYPE_CHECKING:
    from tessera.params.data import Data


def above_0(path: Path, volumes: OpenVolumes, asked: LabelSlice) -> Iterator[np.ndarray]:
    """Where a file is not 0, in any channel; planes (1, h, W) bool. Raises InputError."""
    if path.suffix.lower() in (".jpg", ".jpeg"):
        raise InputError(f"{path}: JPEG does not keep 0 as it was; give this mask as PNG or TIFF")
    for _, pixels in _bands(path, volumes, "rgb", asked):
        yield pixels.any(axis=2)[None]


def _grey(path: Path, volumes: OpenVolumes, asked: LabelSlice, data: "Data", meaning: str) -> Iterator[np.ndarray]:
    """Planes of a mask of `positive`, `ignore` and 0, for one class."""
    count, first = 0, None
    for y, pixels in _bands(path, volumes, "all", asked):
        if pixels.shape[2] > 2 and (pixels[..., :3] != pixels[..., :1]).any():  # of two, the second is alpha
            raise InputError(f"{path}: a mask must be grey, this one has colours; data.mask_kind: colour or instances")
        mask = pixels[..., 0]
        positive = mask == data.positive
        ignored = mask == data.ignore if data.ignore is not None else np.zeros_like(positive)
        strange = ~(positive | ignored | (mask == 0))
        if strange.any():
            row, column = np.unravel_index(strange.argmax(), mask.shape)
            first = first or (mask[row, column], y + row, column)
            count += int(strange.sum())
        yield _painted(positive + ignored * np.uint8(IGNORE), data, meaning)
    if first:
        raise InputError(
            f"{path}: value {first[0]} at row {first[1]}, column {first[2]} ({count} such pixels) is neither 0, "
            f"data.positive {data.positive} nor data.ignore {data.ignore}"
        )


def _colour(path: Path, volumes: OpenVolumes, asked: LabelSlice, data: "Data", meaning: str) -> Iterator[np.ndarray]:
    """Planes of a mask whose colours, or palette, `data.colours` explains."""
    strange: dict[int, tuple[int, int, int]] = {}
    for y, pixels in _bands(path, volumes, "rgb", asked):
        if pixels.dtype != np.uint8:
            raise InputError(f"{path}: is {pixels.dtype}; data.colours are those of 8-bit masks")
        red, green, blue = np.moveaxis(pixels.astype(np.uint32), 2, 0)
        codes = red << 16 | green << 8 | blue
        planes, known = empty_planes(len(data.classes), codes.shape), np.zeros(codes.shape, bool)
        for colour, said in data.colours.items():
            there = codes == int(colour[1:], 16)
            known |= there
            paint(planes, there, said, data.classes)
        _count(strange, codes, ~known, y)
        yield planes
    if strange:
        raise InputError(*_unknown_colours(path, strange))


def _count(strange: dict[int, tuple[int, int, int]], codes: np.ndarray, there: np.ndarray, y: int) -> None:
    """Adds the codes of some pixels to code → (how often, first row, first column); the band begins at row y."""
    rows, columns = np.nonzero(there)
    found, first, counts = np.unique(codes[there], return_index=True, return_counts=True)
    for code, n, count in zip(found.tolist(), first, counts.tolist(), strict=True):
        before, *place = strange.get(code, (0, y + int(rows[n]), int(columns[n])))
        strange[code] = (before + count, *place)


def _unknown_colours(path: Path, strange: dict[int, tuple[int, int, int]]) -> list[str]:
    listed = sorted(strange, key=lambda code: (-strange[code][0], code))[:3]
    problems = [
        "{}: colour #{:06x} at row {}, column {} ({} such pixels) is not in data.colours".format(
            path, code, *strange[code][1:], strange[code][0]
        )
        for code in listed
    ]
    rest = len(strange) - len(listed)
    return problems + [f"{path}: {rest} further colours are not in data.colours; is it JPEG?"] * bool(rest)


def _instances(path: Path, volumes: OpenVolumes, asked: LabelSlice, data: "Data", meaning: str) -> Iterator[np.ndarray]:
    """Planes of a mask where 0 is background and any other number or colour an instance of the one class."""
    return (_painted(mask, data, meaning) for (mask,) in above_0(path, volumes, asked))


def _painted(mask: np.ndarray, data: "Data", meaning: str) -> np.ndarray:
    planes = empty_planes(len(data.classes), mask.shape)
    paint(planes, mask, meaning, data.classes)
    return planes


def _bands(path: Path, volumes: OpenVolumes, channels: Channels, asked: LabelSlice) -> Iterator[Band]:
    """The bands of a mask file: of its only image or, in a file that holds all slices of the volume, of the one asked for.

    A TIFF or npy is never decoded whole, a PNG, JPEG or JPEG 2000 always is.
    """
    with volumes.open(path, channels) as reader:
        depth, shape, expected = reader.shape[0], reader.shape[1:3], len(asked.names)
        if depth not in (1, expected):
            also = f", or the {expected} of the volume" if expected > 1 else ""
            raise InputError(f"{path}: holds {depth} slices; one image is expected here{also}: give a file a slice")
        if shape != tuple(asked.shape):
            raise InputError(f"{path}: the mask is {shape[0]}×{shape[1]}, its image {asked.shape[0]}×{asked.shape[1]}")
        yield from reader.bands(asked.z if depth > 1 else 0)


MASKS = {"grey": _grey, "colour": _colour, "instances": _instances}

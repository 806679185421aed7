"""Labels as mask files: grey, colour-coded, or instances by number."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tessera.data.annotations.files import label_files, misplaced_files
from tessera.data.annotations.planes import empty_planes, paint
from tessera.data.images import read_image, read_mask
from tessera.data.layout import Item
from tessera.errors import InputError, collected
from tessera.tasks import IGNORE

if TYPE_CHECKING:
    from tessera.params.data import Data


class MaskFiles:
    """One mask file an image or slice, one for a whole volume, or several that are united."""

    def __init__(self, data: "Data", problems: list[str]):
        self.data, self.source = data, Path(data.source)
        self.per_slice = "{slice}" in data.train_masks

    def read(self, image_id: str, slice_name: str, shape: tuple[int, int]) -> np.ndarray:
        """Planes (K, H, W). Raises InputError naming each file: not there, another size, undeclared values."""
        planes, problems = empty_planes(self.data, shape), []
        for path in label_files(self.source, self.data.train_masks, image_id, slice_name):
            with collected(problems):
                np.maximum(planes, MASKS[self.data.mask_kind](path, shape, self.data), out=planes)
        if problems:
            raise InputError(*problems)
        return planes

    def strangers(self, items: list[Item]) -> list[str]:
        """A problem for every mask without an image or slice, or of two."""
        return misplaced_files(self.source, self.data.train_masks, items, "mask")


def read_valid(data: "Data", image_id: str, slice_name: str, shape: tuple[int, int]) -> np.ndarray:
    """The valid area (H, W) bool: where the files of `data.valid_masks` are not 0.

    Raises InputError naming the file: not there, another size, nothing valid.
    """
    valid = np.zeros(shape, bool)
    paths = label_files(Path(data.source), data.valid_masks, image_id, slice_name)
    for path in paths:
        valid |= _above_0(path, shape)
    if not valid.any():
        raise InputError(f"{paths[0]}: the valid area (data.valid_masks) is empty; values above 0 are valid")
    return valid


def _grey(path: Path, shape: tuple[int, int], data: "Data") -> np.ndarray:
    """Planes of a mask of `positive`, `ignore` and 0, for one class."""
    mask = _sized(read_mask(path), path, shape)
    positive = mask == data.positive
    ignored = mask == data.ignore if data.ignore is not None else np.zeros_like(positive)
    strange = ~(positive | ignored | (mask == 0))
    if strange.any():
        y, x = np.unravel_index(strange.argmax(), shape)
        raise InputError(
            f"{path}: value {mask[y, x]} at row {y}, column {x} ({strange.sum()} such pixels) is neither 0, "
            f"data.positive {data.positive} nor data.ignore {data.ignore}"
        )
    return (positive.astype(np.uint8) + ignored * np.uint8(IGNORE))[None]


def _colour(path: Path, shape: tuple[int, int], data: "Data") -> np.ndarray:
    """Planes of a mask whose colours, or palette, `data.colours` explains."""
    pixels = _sized(read_image(path, "rgb"), path, shape)
    if pixels.dtype != np.uint8:
        raise InputError(f"{path}: is {pixels.dtype}; data.colours are those of 8-bit masks")
    red, green, blue = np.moveaxis(pixels.astype(np.uint32), 2, 0)
    codes = red << 16 | green << 8 | blue
    planes, known = empty_planes(data, shape), np.zeros(shape, bool)
    for colour, meaning in data.colours.items():
        there = codes == int(colour[1:], 16)
        known |= there
        paint(planes, there, meaning, data.classes)
    if not known.all():
        raise InputError(*_unknown_colours(path, codes, known))
    return planes


def _unknown_colours(path: Path, codes: np.ndarray, known: np.ndarray) -> list[str]:
    strange, first, counts = np.unique(codes[~known], return_index=True, return_counts=True)
    places = np.argwhere(~known)
    listed = np.argsort(-counts, kind="stable")[:3]
    problems = [
        "{}: colour #{:06x} at row {}, column {} ({} such pixels) is not in data.colours".format(
            path, strange[n], *places[first[n]], counts[n]
        )
        for n in listed
    ]
    rest = len(strange) - len(listed)
    return problems + [f"{path}: {rest} further colours are not in data.colours; is it JPEG?"] * bool(rest)


def _instances(path: Path, shape: tuple[int, int], data: "Data") -> np.ndarray:
    """Planes of a mask where 0 is background and any other number or colour an instance of the one class."""
    return _above_0(path, shape).astype(np.uint8)[None]


def _above_0(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Where a file is not 0, in any channel; (H, W) bool."""
    if path.suffix.lower() in (".jpg", ".jpeg"):
        raise InputError(f"{path}: JPEG does not keep 0 as it was; give this mask as PNG or TIFF")
    return _sized(read_image(path, "rgb"), path, shape).any(axis=2)


def _sized(mask: np.ndarray, path: Path, shape: tuple[int, int]) -> np.ndarray:
    if mask.shape[:2] != tuple(shape):
        raise InputError(f"{path}: the mask is {mask.shape[0]}×{mask.shape[1]}, its image {shape[0]}×{shape[1]}")
    return mask


MASKS = {"grey": _grey, "colour": _colour, "instances": _instances}

"""Reads one image file whole, as (H, W, C)."""

from pathlib import Path

import numpy as np

from tessera.data.readers.base import Channels
from tessera.data.readers.build import open_image
from tessera.errors import InputError


def read_image(path: Path, channels: Channels) -> np.ndarray:
    """The pixels of a file as (H, W, C), in the file's own dtype; channels as in `open_image`.

    Raises InputError naming the file: unreadable, truncated, not one 2-D image, or not convertible.
    """
    with open_image(path, channels) as reader:
        if reader.shape[0] > 1:
            raise InputError(f"{path}: holds {reader.shape[0]} slices; one image is expected here: give a file a slice")
        return reader.whole(0)


def read_mask(path: Path) -> np.ndarray:
    """The pixels of a mask file as (H, W), in the file's own dtype. Raises InputError as `read_image` does."""
    pixels = read_image(path, "all")
    if pixels.shape[2] > 1 and (pixels[..., :3] != pixels[..., :1]).any():
        raise InputError(f"{path}: a mask must be grey, this one has colours; data.mask_kind: colour or instances")
    return pixels[..., 0]

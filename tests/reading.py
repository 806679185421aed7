"""Whole images for comparison."""

from pathlib import Path

import numpy as np

from tessera.data.readers.base import Channels
from tessera.data.readers.build import open_image


def read_image(path: Path, channels: Channels) -> np.ndarray:
    """The pixels (H, W, C) of a file's first slice."""
    with open_image(path, channels) as reader:
        return reader.whole(0)

"""What the stored numbers of a TIFF mean: turned into grey or RGB, or refused."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from tifffile import COMPRESSION, PHOTOMETRIC

from tessera.errors import InputError

_PLAIN = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB, PHOTOMETRIC.MASK)
_JPEG = (COMPRESSION.OJPEG, COMPRESSION.JPEG, COMPRESSION.JPEG_LOSSY, COMPRESSION.ALT_JPEG)  # decoded to RGB


class Colours(NamedTuple):
    """How rows (h, W, samples) of a page become pixels (h, W, channels) of `dtype`."""

    channels: int
    dtype: np.dtype
    palette: np.ndarray | None = None  # (entries, 3) uint8
    white: int | None = None  # the stored number of black, where 0 is white

    def convert(self, rows: np.ndarray) -> np.ndarray:
        """Raises IndexError for an index beyond the palette."""
        if self.palette is not None:
            return self.palette[rows[..., 0]]
        if self.white is not None:
            return self.white - rows.astype(self.dtype, copy=False)
        return rows


def colours_of(page: tifffile.TiffPage, path: Path) -> Colours:
    """Raises InputError naming the file for colours that are neither grey, RGB, YCbCr of a JPEG nor a palette."""
    dtype = np.dtype(np.uint8) if page.dtype is not None and page.dtype.kind == "b" else page.dtype
    if page.photometric == PHOTOMETRIC.PALETTE and page.colormap is not None and page.samplesperpixel == 1:
        entries = page.colormap.T  # 16-bit; some writers store 8-bit numbers
        return Colours(3, np.dtype(np.uint8), (entries >> 8 if entries.max() > 255 else entries).astype(np.uint8))
    if page.photometric == PHOTOMETRIC.MINISWHITE and page.bitspersample == 1:  # masks: writers do not mean the tag
        return Colours(page.samplesperpixel, dtype)
    if page.photometric == PHOTOMETRIC.MINISWHITE and dtype is not None and dtype.kind == "u":
        return Colours(page.samplesperpixel, dtype, white=2**page.bitspersample - 1)
    known = page.photometric in _PLAIN or (page.photometric == PHOTOMETRIC.YCBCR and page.compression in _JPEG)
    if dtype is None or not known or page.compression == COMPRESSION.APERIO_JP2000_YCBC:
        name = getattr(page.photometric, "name", page.photometric)
        raise InputError(
            f"{path}: has {name} colours ({page.bitspersample} bit, {getattr(page.compression, 'name', '')}); convert it "
            "to RGB or grey first"
        )
    return Colours(page.samplesperpixel, dtype)

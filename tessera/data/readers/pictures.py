"""PNG, JPEG and JPEG 2000: decoded whole."""

from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np

from tessera.data.readers.base import Band, Channels, Reader
from tessera.errors import InputError

_DECODE = {
    ".png": imagecodecs.png_decode,  # a palette becomes RGB
    ".jpg": imagecodecs.jpeg_decode,
    ".jpeg": imagecodecs.jpeg_decode,
    ".jp2": imagecodecs.jpeg2k_decode,
}
_END_MARKERS = {".png": b"IEND", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}
_JP2_COLOURS = {16: "sRGB", 17: "grey"}  # EnumCS of the box colr, ISO/IEC 15444-1 annex I.5.3.3


class PictureReader(Reader):
    """A whole picture in memory."""

    def __init__(self, path: Path, channels: Channels, level: int, threads: int):
        suffix, data = path.suffix.lower(), path.read_bytes()
        if level:
            raise InputError(f"{path}: has one level; data.level {level} needs a pyramidal TIFF")
        if suffix in _END_MARKERS and _END_MARKERS[suffix] not in data[-1024:]:
            raise InputError(f"{path}: is truncated ({len(data)} bytes, no end marker)")
        try:
            pixels = np.atleast_3d(_DECODE[suffix](data))
        except (RuntimeError, ValueError) as error:  # what imagecodecs' own errors derive from
            raise InputError(f"{path}: is truncated or no valid {suffix[1:]} ({error})") from None
        if _is_strange(suffix, data, pixels.shape[2]):
            raise InputError(f"{path}: has CMYK, YCC or device colours; convert it to RGB or grey first")
        super().__init__(path, (1, *pixels.shape), pixels.dtype, channels)
        self._pixels = pixels

    def _bands(self, z: int) -> Iterator[Band]:
        yield 0, self._pixels


def _is_strange(suffix: str, data: bytes, channels: int) -> bool:
    """Whether the decoded numbers are neither RGB(A) nor grey: a JPEG's four channels are CMYK or YCCK."""
    if suffix in (".jpg", ".jpeg"):
        return channels == 4
    box = data.find(b"colr", 0, 4096) + 4  # the box holds method, precedence, approximation, EnumCS
    return (
        suffix == ".jp2" and box > 4 and data[box] == 1 and int.from_bytes(data[box + 3 : box + 7]) not in _JP2_COLOURS
    )

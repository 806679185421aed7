"""The reader of a file, by its suffix."""

from pathlib import Path

from tessera.data.readers.base import Channels, Reader
from tessera.data.readers.npy import NpyReader
from tessera.data.readers.pictures import PictureReader
from tessera.data.readers.tiff import TiffReader
from tessera.errors import InputError

READERS = {
    ".tif": TiffReader,
    ".tiff": TiffReader,
    ".png": PictureReader,
    ".jpg": PictureReader,
    ".jpeg": PictureReader,
    ".jp2": PictureReader,
    ".npy": NpyReader,
}


def open_image(path: Path, channels: Channels = "all", level: int = 0, threads: int = 1) -> Reader:
    """Opens an image or volume file; close it, or use it in `with`.

    channels: grey (C = 1, colour becomes luma), rgb (C = 3, grey is repeated), both without alpha, or all.
    level: of a pyramid, 0 is the largest. threads: that decode one band's segments.
    Raises InputError naming the file: unreadable, truncated, of an unknown kind, or not convertible.
    """
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise InputError(f"{path}: files of this kind are not read; there are {', '.join(READERS)}")
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty (0 bytes)")
        return READERS[suffix](path, channels, level, threads)
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from None

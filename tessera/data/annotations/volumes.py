"""Mask files that hold all slices of a volume stay open from slice to slice: opening one looks at its every page."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tessera.data.annotations.uniting import MOST_OPEN
from tessera.data.readers.base import Channels, Reader
from tessera.data.readers.build import open_image


class OpenVolumes:
    """Opens mask files and keeps those of several slices, until the image they belong to is done: `close` them then.

    Nothing may be open when a process forks: both would move the one position from which page headers are read.
    """

    def __init__(self):
        self._kept: dict[tuple[Path, Channels], Reader] = {}

    @contextmanager
    def open(self, path: Path, channels: Channels) -> Iterator[Reader]:
        """The file's reader, until the `with` ends at least. Raises InputError as `open_image`."""
        key = (path, channels)
        with ExitStack() as here:
            reader = self._kept.get(key) or here.enter_context(open_image(path, channels))
            if reader.shape[0] > 1 and len(self._kept) < MOST_OPEN:
                here.pop_all()
                self._kept[key] = reader
            yield reader

    def close(self) -> None:
        while self._kept:
            self._kept.popitem()[1].close()

"""Windows of a region of a plane, as a network sees it: at any zoom, read by rows and never whole."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tessera.data.pixels import PixelStore
from tessera.data.resampling import resample_pixels

READ = 64  # rows that are resampled together


class Region(NamedTuple):
    """A part of the plane of an image, and the size at which it is seen."""

    image_id: str
    top: int  # working px
    left: int
    height: int
    width: int
    seen: tuple[int, int]  # (height, width) in px of a window

    @property
    def zoomed(self) -> bool:
        return self.seen != (self.height, self.width)

    def working(self, start: tuple[int, int], size: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of the image's plane, working px, that a window at `start` shows, and a seen px around it."""
        spans = []
        for first, length, origin, side, seen in zip(
            start, size, (self.top, self.left), (self.height, self.width), self.seen, strict=True
        ):
            low, high = (first - 1) * side // seen, -(-(first + length + 1) * side // seen)
            spans.append(slice(origin + max(low, 0), origin + min(high, side)))
        return tuple(spans)


class Reader:
    """Reads windows of some slices, from top to bottom. Each slice is read once, however many stacks show it."""

    def __init__(self, store: PixelStore, region: Region, slices: list[int]):
        self.store, self.region, self.slices = store, region, slices
        self._bands = resample_pixels(self._working_rows(), (region.height, region.width), region.seen)
        self._held: list[
            tuple[int, np.ndarray]
        ] = []  # bands of seen rows that windows still show, and their first rows
        self._end = 0  # of the last one

    def window(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Pixels (height, width, slices·C) uint8, not to be written to; mirrored beyond the lower and right end of the region."""
        seen = self.region.seen
        end, right = min(y + height, seen[0]), min(x + width, seen[1])
        pixels = (self._resampled if self.region.zoomed else self._direct)(y, x, end, right)
        lack = (y + height - end, x + width - right)
        return np.pad(pixels, ((0, lack[0]), (0, lack[1]), (0, 0)), mode="reflect") if any(lack) else pixels

    def _direct(self, y: int, x: int, end: int, right: int) -> np.ndarray:
        region = self.region
        place = (region.top + y, region.left + x, end - y, right - x)
        return self.store.view_stack(region.image_id, self.slices, place)

    def _resampled(self, y: int, x: int, end: int, right: int) -> np.ndarray:
        self._held = [(start, rows) for start, rows in self._held if start + len(rows) > y]
        while self._end < end:
            start, rows = next(self._bands)
            self._end = start + len(rows)
            if self._end > y:
                self._held.append((start, rows))
        return np.concatenate([rows[max(y - start, 0) : max(end - start, 0), x:right] for start, rows in self._held])

    def _working_rows(self) -> Iterator[tuple[int, np.ndarray]]:
        for row in range(0, self.region.height, READ):
            yield row, self._direct(row, 0, min(row + READ, self.region.height), self.region.width)

"""TIFF: the file's own strips or tiles, band by band, each decoded once; raw ones are memory-mapped."""

import functools
import os
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tifffile

from tessera.data.readers.base import BAND_BYTES, Band, Channels, Reader
from tessera.data.readers.colours import colours_of
from tessera.errors import InputError


class TiffReader(Reader):
    """The first series of a TIFF: an image, or a volume of pages, whose axes come from the file's tags."""

    def __init__(self, path: Path, channels: Channels, level: int, threads: int):
        self._threads = ThreadPoolExecutor(threads) if threads > 1 else None
        self._file, self._tiff = path.open("rb"), _open(path)
        try:
            self._series = _level(path, self._tiff, level)
            self._page = self._series.keyframe
            self._colours = colours_of(self._page, path)
            depth, self._numbers = _pages(path, self._series)
            _check_chain(path, self._tiff, self._series, depth)
        except InputError:
            self.close()
            raise
        except struct.error as error:  # the file ends within its last page's header
            self.close()
            raise _damaged(path, error) from None
        count = self._colours.channels * self._numbers.shape[1]
        super().__init__(
            path, (depth, self._page.imagelength, self._page.imagewidth, count), self._colours.dtype, channels
        )

    def close(self) -> None:
        self._file.close()
        self._tiff.close()
        if self._threads:
            self._threads.shutdown()

    def _bands(self, z: int) -> Iterator[Band]:
        """The pages that hold the channels of slice z go side by side: all have the same segments."""
        first, *others = (self._page_bands(int(number)) for number in self._numbers[z])
        if not others:
            yield from first  # zip would hold on to an earlier band, and so to its buffer
            return
        for parts in zip(first, *others, strict=True):
            yield parts[0][0], np.concatenate([rows for _, rows in parts], axis=2)

    def _page_bands(self, number: int) -> Iterator[Band]:
        try:
            if self._series.dataoffset is None and self._series.pages[number] is None:
                raise InputError(
                    f"{self.path}: page {number + 1} lies in another file; give a folder with a file a slice"
                )
            if self._page.is_final:
                bands = self._raw_bands(self._offset(number))
            else:
                bands = self._decoded_bands(self._series.pages[number])
            for y, rows in bands:
                yield y, self._colours.convert(rows)
        except InputError:
            raise
        except Exception as error:  # tifffile and its codecs raise many kinds; each means the file is broken
            raise _damaged(self.path, error) from None

    def _offset(self, number: int) -> int:
        """Where the raw bytes of a page begin: some writers give only the first page of a stack its own header."""
        if self._series.dataoffset is not None:
            return self._series.dataoffset + number * self._page.nbytes
        return self._series.pages[number].dataoffsets[0]

    def _raw_bands(self, offset: int) -> Iterator[Band]:
        """A map of its own for every band: what the band touched leaves memory with it."""
        page = self._page
        dtype = page.dtype.newbyteorder(self._tiff.byteorder)
        step = max(1, BAND_BYTES // (page.nbytes // page.imagelength))
        for y in range(0, page.imagelength, step):
            pixels = np.memmap(self.path, dtype, "r", offset, page.shape)
            pixels = np.moveaxis(pixels, 0, 2) if page.axes == "SYX" else pixels.reshape(*pixels.shape[:2], -1)
            yield y, pixels[y : y + step]

    def _decoded_bands(self, page: tifffile.TiffPage) -> Iterator[Band]:
        """One row of tiles, or as many strips as fit, is decoded into a buffer of its own and handed out some rows at
        a time, which fit a core's caches."""
        key = self._page
        tall = min(key.tilelength if key.is_tiled else key.rowsperstrip, key.imagelength)
        across = -(-key.imagewidth // key.tilewidth) if key.is_tiled else 1
        down = -(-key.imagelength // tall)
        planes = key.samplesperpixel if key.planarconfig == 2 else 1
        self._check(page, planes * down * across)
        row_bytes = key.nbytes // key.imagelength
        few, step = max(1, BAND_BYTES // row_bytes), max(1, BAND_BYTES // (tall * row_bytes))
        for first in range(0, down, step):
            rows = range(first, min(first + step, down))
            indices = [
                (p * down + row) * across + column for p in range(planes) for row in rows for column in range(across)
            ]
            top, end = first * tall, min(rows.stop * tall, key.imagelength)
            if across == planes == len(rows) == 1:  # a strip that is a band as it is
                segment = self._segment(page, indices[0])[0]
                band = (
                    segment[0, : end - top, : key.imagewidth]
                    if segment is not None
                    else np.zeros((end - top, key.imagewidth, key.samplesperpixel), key.dtype)
                )
                yield top, band
                continue
            last = top + (end - top - 1) // few * few
            buffer = np.empty((end - top, key.imagewidth, key.samplesperpixel), key.dtype)
            self._decode(page, indices, top, buffer)
            for y in range(top, last, few):
                yield y, buffer[y - top : y + few - top]
            rest = buffer[last - top :].copy()
            del buffer  # who still holds the last band holds a copy: the next buffer takes the place of this one
            yield last, rest

    def _decode(self, page: tifffile.TiffPage, indices: list[int], top: int, buffer: np.ndarray) -> None:
        """Puts segments where they belong in a buffer (h, W, samples) that begins at row `top`."""
        together = self._threads.map if self._threads else map
        decoded = together(functools.partial(self._segment, page), indices)
        for segment, (plane, _, y, x, _), (_, rows, columns, samples) in decoded:
            place = buffer[y - top :, x:, plane:][:rows, :columns, :samples]
            # what a tile has beyond the image's edge is padding
            place[:] = 0 if segment is None else segment[0, : place.shape[0], : place.shape[1]]

    def _check(self, page: tifffile.TiffPage, count: int) -> None:
        """Raises InputError where segments are missing from the index or end beyond the file."""
        listed, size = min(len(page.dataoffsets), len(page.databytecounts)), self._tiff.filehandle.size
        if listed < count:
            raise InputError(f"{self.path}: is truncated ({listed} of {count} segments are listed)")
        end = max(np.add(page.dataoffsets[:count], page.databytecounts[:count]))
        if end > size:
            raise InputError(f"{self.path}: is truncated (its segments end at byte {end} of {size})")

    def _segment(self, page: tifffile.TiffPage, index: int) -> tuple:
        """A segment (1, h, w, samples), its (plane, depth, y, x, 0), and its shape; None where a sparse file has none."""
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        stored = os.pread(self._file.fileno(), count, offset) if offset and count else None
        return self._page.decode(stored, index, jpegtables=page.jpegtables, jpegheader=self._page.jpegheader)


def _open(path: Path) -> tifffile.TiffFile:
    try:
        return tifffile.TiffFile(path, _multifile=False)  # the pages of another file would be read twice
    except OSError:
        raise
    except Exception as error:
        raise _damaged(path, error) from None


def _level(path: Path, tiff: tifffile.TiffFile, level: int) -> tifffile.TiffPageSeries:
    try:
        levels = tiff.series[0].levels
    except Exception as error:
        raise _damaged(path, error) from None
    if level >= len(levels):
        raise InputError(f"{path}: has {len(levels)} level(s), data.level {level} is none of 0…{len(levels) - 1}")
    return levels[level]


def _pages(path: Path, series: tifffile.TiffPageSeries) -> tuple[int, np.ndarray]:
    """The depth, and the numbers (Z, pages a slice) of the pages that hold a slice's channels."""
    page = series.keyframe
    if page.axes not in ("YX", "YXS", "SYX"):
        raise InputError(f"{path}: its tiles are blocks of several slices (axes {page.axes}); save it slice by slice")
    outer = [(axis, n) for axis, n in zip(series.axes, series.shape, strict=True) if n > 1 and axis not in page.axes]
    channels = [i for i, (axis, _) in enumerate(outer) if axis in "CS"]
    depths = [i for i, (axis, _) in enumerate(outer) if axis not in "CS"]
    if len(depths) > 1 or len(channels) > 1:
        raise InputError(
            f"{path}: holds axes {series.axes} of shape {series.shape}; one of depth and one of channels can be read, "
            "beside Y and X: split it"
        )
    sizes = [size for _, size in outer]
    depth = outer[depths[0]][1] if depths else 1
    numbers = np.arange(np.prod(sizes, dtype=int)).reshape(sizes)
    return depth, np.transpose(numbers, depths + channels).reshape(depth, -1)


def _check_chain(path: Path, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, depth: int) -> None:
    """Raises InputError where slices would be lost: pages that lie beyond the file's end, or differ from the first."""
    if offset := _next_page(tiff):
        raise InputError(f"{path}: is truncated (page {len(tiff.pages) + 1} should begin at byte {offset})")
    if depth > 1 and series.kind == "generic" and len(tiff.series) > 1:
        others = ", ".join(str(other.shape) for other in tiff.series[1:4])
        raise InputError(
            f"{path}: holds {depth} slices like its first page, {series.keyframe.shape}, and pages of shape {others}; the "
            "slices of a volume must be alike: take the others out"
        )


def _next_page(tiff: tifffile.TiffFile) -> int:
    """Where the last page that could be read says the next one begins; 0: it was the last one."""
    form, file, start = tiff.tiff, tiff.filehandle, tiff.pages[-1].offset
    file.seek(start)
    (tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
    file.seek(start + form.tagnosize + tags * form.tagsize)
    return struct.unpack(form.offsetformat, file.read(form.offsetsize))[0]


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: is truncated or no valid TIFF ({type(error).__name__}: {error})")

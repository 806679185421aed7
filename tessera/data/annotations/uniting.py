"""Label files side by side, by bands of rows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tessera.data.annotations.planes import empty_planes, spans
from tessera.data.readers.build import READERS
from tessera.data.readers.pictures import PictureReader
from tessera.errors import InputError, collected

MOST_OPEN = 64  # files at once

Source = tuple[Path, Iterator[np.ndarray]]  # a file and its planes (K, h, W), band after band


def unite(sources: list[Source], classes: int, shape: tuple[int, int], rows: int) -> Iterator[np.ndarray]:
    """The union of files as planes (classes, h, W) of `rows` rows: of each pixel the largest number.

    Files are read side by side. Several pictures, which are decoded whole, and files beyond MOST_OPEN are read one after
    the other, onto planes of the whole image. Raises InputError with the problems of all files, after the last band.
    """
    beside, rest, problems = [], [], []
    for path, source in sources:
        (rest if is_picture(path) or len(beside) == MOST_OPEN else beside).append(source)
    if len(rest) > 1:
        rest = [_one_by_one(rest, classes, shape, rows)]
    beside = [regrouped(source, rows) for source in beside + rest]
    for y0, y1 in spans(shape[0], rows):
        planes = empty_planes(classes, (y1 - y0, shape[1]))
        for source in beside:
            with collected(problems):
                np.maximum(planes, next(source, 0), out=planes)  # 0: it has stopped at a problem
        yield planes
    for source in beside:
        with collected(problems):  # what is known only at the end of a file
            next(source, None)
    if problems:
        raise InputError(*problems)


def regrouped(parts: Iterator[np.ndarray], rows: int) -> Iterator[np.ndarray]:
    """Planes (K, h, W) of any heights, one below the other, as planes of `rows` rows; the last ones have the rest."""
    held: list[np.ndarray] = []
    lack = rows
    for part in parts:
        while part.shape[1] >= lack:
            yield np.concatenate([*held, part[:, :lack]], axis=1)
            part, held, lack = part[:, lack:], [], rows
        if part.shape[1]:
            held.append(part)
            lack -= part.shape[1]
    if held:
        yield np.concatenate(held, axis=1)


def is_picture(path: Path) -> bool:
    """Whether a file is of a kind that is decoded whole and holds one image: imagecodecs gives no rows of them."""
    return READERS.get(path.suffix.lower()) is PictureReader


def _one_by_one(sources: list[Iterator], classes: int, shape: tuple[int, int], rows: int) -> Iterator[np.ndarray]:
    planes, problems = empty_planes(classes, shape), []
    for source in sources:
        y = 0
        with collected(problems):
            for part in source:
                place = planes[:, y : y + part.shape[1]]
                np.maximum(place, part, out=place)
                y += part.shape[1]
    for y0, y1 in spans(shape[0], rows):
        yield planes[:, y0:y1]
    if problems:
        raise InputError(*problems)

"""Between pieces of maps, which are as high as rows of windows lie apart, and blocks of `ROWS` rows."""

from collections.abc import Iterator

import numpy as np

from tessera.predict.merging import quantise

ROWS = 256  # of a block

Maps = dict[str, np.ndarray]  # (C, rows, W) by name


def side_by_side(ways: list[Iterator[Maps]]) -> Iterator[list[Maps]]:
    """The same rows of several ways, whose pieces end at different rows. Raises ValueError where one way ends early."""
    held: list[Maps] = [{} for _ in ways]
    while True:
        held = [maps if height_of(maps) else next(way, {}) for maps, way in zip(held, ways, strict=True)]
        if not any(map(height_of, held)):
            return
        count = min(map(height_of, held))
        if not count:
            raise ValueError("one way has fewer rows than another")
        yield [{name: values[:, :count] for name, values in maps.items()} for maps in held]
        held = [{name: values[:, count:] for name, values in maps.items()} for maps in held]


def in_blocks(pieces: Iterator[Maps], height: int) -> Iterator[Maps]:
    """Pieces of probabilities, `height` rows in all → blocks, uint8 round(255·p). Raises ValueError where rows lack."""
    y, block = 0, {}
    for maps in pieces:
        start = 0
        while start < height_of(maps):
            row = y % ROWS
            count = min(ROWS - row, height_of(maps) - start)
            for name, values in maps.items():
                if row == 0:
                    block[name] = np.empty((len(values), min(ROWS, height - y), values.shape[2]), np.uint8)
                quantise(values[:, start : start + count], block[name][:, row : row + count])
            start, y = start + count, y + count
            if y % ROWS == 0 or y == height:
                yield block
                block = {}
    if y != height:
        raise ValueError(f"{y} rows of {height}")


def height_of(maps: Maps) -> int:
    """Rows of all maps; 0 of none."""
    return next((values.shape[1] for values in maps.values()), 0)

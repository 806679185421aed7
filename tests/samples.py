"""Masks on which laws are tried."""

import numpy as np


def masks() -> list[np.ndarray]:
    """Empty, full, corners and noise of many densities, on square, flat and tall shapes."""
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (1, 9), (9, 1), (5, 5), (7, 13), (64, 17)]
    found = [np.full(shape, value, np.uint8) for shape in shapes for value in (0, 1)]
    for y, x in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        corner = np.zeros((4, 7), np.uint8)
        corner[y, x] = 1
        found.append(corner)
    noise = [rng.random(rng.integers(1, 40, 2)) < rng.random() for _ in range(60)]
    return found + [mask.astype(np.uint8) for mask in noise]

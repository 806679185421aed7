"""Masks and maps that a test draws by hand, and random ones to compare ways on."""

import numpy as np

SPACING = (1.0, 1.0)


def draw(*lines: str) -> np.ndarray:
    """The mask (1, H, W) bool of lines such as "..#"."""
    return np.array([[[pixel == "#" for pixel in line] for line in lines]])


def random_row(seed: int) -> tuple[np.ndarray, ...]:
    """Maps (3, 23, 37) uint8 with patches of many sizes, the last class empty; target, valid: bool."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (3, 12, 19)).repeat(2, 1).repeat(2, 2)[:, :23, :37]
    maps = np.clip(coarse + rng.integers(-40, 40, coarse.shape), 0, 255).astype(np.uint8)
    maps[2] = 0
    return maps, rng.random(maps.shape) < 0.3, rng.random(maps.shape) < 0.8

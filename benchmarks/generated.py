"""Large TIFF files, generated in seconds: a few tiles or strips, repeated in an order without a period; their labels."""

from collections.abc import Callable
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import tifffile

TILE = 256  # px, as slide scanners write them
STRIP = 64  # rows
DISTINCT = 8
BLOCK, RADIUS = 1024, 100  # px: the label has a disc in the middle of every block


def write_large(path: Path, side: int, kind: str) -> Path:
    """A side × side RGB BigTIFF; kind: raw, deflate or zstd, then tiles or strips, as in "zstd tiles"."""
    codec, _, layout = kind.partition(" ")
    encode = {"raw": bytes, "deflate": imagecodecs.zlib_encode, "zstd": imagecodecs.zstd_encode}[codec]
    shape = (TILE, TILE) if layout == "tiles" else (STRIP, side)
    count = (-(-side // TILE)) ** 2 if layout == "tiles" else -(-side // STRIP)
    stored = [encode(_tissue(*shape, seed).tobytes()) for seed in range(DISTINCT)]
    last = encode(_tissue((side - 1) % STRIP + 1, side, 0).tobytes()) if layout == "strips" else stored[0]
    order = np.random.default_rng(0).integers(0, DISTINCT, count - 1)
    options = {"tile": shape} if layout == "tiles" else {"rowsperstrip": STRIP}
    tifffile.imwrite(
        path, _each(stored, order, last), shape=(side, side, 3), dtype=np.uint8, photometric="rgb", bigtiff=True,
        compression={"raw": None, "deflate": "zlib", "zstd": "zstd"}[codec], **options,
    )  # fmt: skip
    return path


def write_mask(path: Path, side: int) -> Path:
    """The label of a side × side image as a mask of deflate tiles."""
    y, x = np.ogrid[:BLOCK, :BLOCK]
    disc = ((y - BLOCK // 2) ** 2 + (x - BLOCK // 2) ** 2 <= RADIUS**2).astype(np.uint8)
    parts = range(0, BLOCK, TILE)
    stored = [[imagecodecs.zlib_encode(disc[y : y + TILE, x : x + TILE].tobytes()) for x in parts] for y in parts]
    count = range(-(-side // TILE))
    tiles = (stored[row % len(parts)][column % len(parts)] for row in count for column in count)
    tifffile.imwrite(
        path, tiles, shape=(side, side), dtype=np.uint8, photometric="minisblack", bigtiff=True, compression="zlib",
        tile=(TILE, TILE),
    )  # fmt: skip
    return path


def write_rle(path: Path, image_id: str, side: int) -> Path:
    """The same label as a csv with one row of column-major, 1-based runs."""
    x = np.arange(side)
    inside = np.abs(x % BLOCK - BLOCK // 2) <= RADIUS
    half = np.sqrt(RADIUS**2 - (x[inside] % BLOCK - BLOCK // 2) ** 2).astype(int)[:, None]
    middles = np.arange(BLOCK // 2, side + BLOCK, BLOCK)
    tops, ends = np.minimum(middles - half, side), np.minimum(middles + half + 1, side)
    runs = np.stack([x[inside][:, None] * side + tops + 1, ends - tops], 2)[ends > tops]
    path.write_text(f"id,rle\n{image_id},{' '.join(map(str, runs.ravel()))}\n")
    return path


def _each(stored: list[bytes], order: np.ndarray, last: bytes) -> "Callable":
    yield from (stored[i] for i in order)
    yield last


def _tissue(height: int, width: int, seed: int) -> np.ndarray:
    """Blots with sensor noise (height, width, 3) uint8; deflate brings it to about half."""
    rng = np.random.default_rng(seed)
    blots = rng.integers(60, 240, (max(2, height // 32), max(2, width // 32), 3)).astype(np.float32)
    smooth = cv2.resize(blots, (width, height), interpolation=cv2.INTER_LINEAR)
    return (smooth + rng.integers(-4, 5, smooth.shape)).astype(np.uint8)

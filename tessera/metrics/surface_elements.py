"""How large the surface of a mask is around each corner between its voxels.

A corner has 2×2×2 voxels around it (2×2 pixels), numbered as bits of its *code*. Its element is the surface that
marching cubes (Lorensen & Cline, 1987) lays between those inside and those outside, through the middles of the edges
that join them. Sizes are those of DeepMind's surface-distance, which SenNet + HOA counts with (Nikolov et al.,
arXiv:1809.04430).
"""

from functools import cache

import numpy as np
from scipy import ndimage


def codes(mask: np.ndarray) -> np.ndarray:
    """Mask (N…) bool, 2-D or 3-D → the code of each corner (N + 1…) uint8; outside the mask is background."""
    padded = np.pad(mask, 1).view(np.uint8)
    found = np.zeros([size + 1 for size in mask.shape], np.uint8)
    for bit, corner in enumerate(np.ndindex((2,) * mask.ndim)):
        found |= padded[tuple(np.s_[o : o + size] for o, size in zip(corner, found.shape, strict=True))] << bit
    return found


@cache
def sizes(spacing: tuple[float, ...]) -> np.ndarray:
    """The area (3-D, (256,)) or length (2-D, (16,)) of the element of every code; spacing: of the axes."""
    dimensions = len(spacing)
    corners = np.array(list(np.ndindex((2,) * dimensions)))
    found = np.zeros(2 ** len(corners))
    for code in range(len(found)):
        inside = (code >> np.arange(len(corners)) & 1).astype(bool).reshape((2,) * dimensions)
        smaller = inside if inside.sum() <= len(corners) // 2 else ~inside
        labels, number = ndimage.label(smaller)  # diagonal neighbours are apart
        pieces = [np.argwhere(labels == piece + 1) for piece in range(number)]
        found[code] = sum(_area(piece, spacing) if dimensions == 3 else _length(piece, spacing) for piece in pieces)
    return found


def _length(pixels: np.ndarray, spacing: tuple[float, float]) -> float:
    """The contour that cuts one pixel, or two neighbours, out of the 2×2."""
    return np.hypot(*spacing) / 2 if len(pixels) == 1 else spacing[np.argmax(np.ptp(pixels, 0))]


def _area(voxels: np.ndarray, spacing: tuple[float, float, float]) -> float:
    """The surface that cuts up to four neighbours out of the 2×2×2."""
    faces = np.prod(spacing) / np.array(spacing)  # area of a voxel's face across each axis
    triangle = np.sqrt((faces**2).sum()) / 8  # cuts off one voxel
    slopes = np.sqrt((faces**2).sum() - faces**2) / 2  # by axis: the rectangle that cuts off two voxels along it
    extent = np.ptp(voxels, 0)
    if len(voxels) == 1:
        return triangle
    if len(voxels) == 2:
        return slopes[np.argmax(extent)]
    across = np.argmin(extent)
    if len(voxels) == 3:  # an L: a bent pentagon
        return faces[across] / 2 + 3 * triangle
    if extent[across] == 0:  # a flat four
        return faces[across]
    neighbours = (np.abs(voxels[:, None] - voxels).sum(-1) == 1).sum(1)
    if neighbours.max() == 3:  # one and its three neighbours: a regular hexagon
        return 6 * triangle
    middle = np.argmax(np.ptp(voxels[neighbours == 2], 0))  # a path of three steps, one along each axis: a bent hexagon
    return 4 * triangle + np.delete(slopes, middle).sum() / 2

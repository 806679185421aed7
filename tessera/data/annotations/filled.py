"""Polygons as pixels: each filled whole, once, in the box around it.

OpenCV cuts a line at the canvas before it draws it, and rounds the cut: filled band by band, a polygon has other pixels.
"""

from typing import NamedTuple

import cv2
import numpy as np

from tessera.data.annotations.planes import paint


class Filled(NamedTuple):
    """A filled polygon; `mask` (h, w) uint8 0/1 begins at row `top` and column `left` of the image."""

    meaning: str
    top: int
    left: int
    mask: np.ndarray

    def paint(self, planes: np.ndarray, y: int, classes: list[str]) -> None:
        """Adds to planes (K, h, W) that begin at row y of the image what lies on them."""
        first, end = max(y, self.top), min(y + planes.shape[1], self.top + len(self.mask))
        if first < end:
            place = planes[:, first - y : end - y, self.left : self.left + self.mask.shape[1]]
            paint(place, self.mask[first - self.top : end - self.top], self.meaning, classes)


class Area(NamedTuple):
    """A polygon: what it shows, and its rings (N, 2) int32, x before y; the first one's holes follow it."""

    meaning: str
    rings: list[np.ndarray]

    @property
    def top(self) -> int:
        return int(min(ring[:, 1].min() for ring in self.rings))

    def fill(self, shape: tuple[int, int]) -> Filled:
        """The pixels that `fillPoly` fills in an image of shape (H, W)."""
        points = np.concatenate(self.rings)
        corner = points.min(0)
        # cut where the image is, so that OpenCV cuts there too
        width, height = np.maximum(np.minimum(points.max(0) + 1, shape[::-1]) - corner, 0)
        mask = np.zeros((height, width), np.uint8)
        if mask.size:
            cv2.fillPoly(mask, [ring - corner for ring in self.rings], 1)
        return Filled(self.meaning, int(corner[1]), int(corner[0]), mask)

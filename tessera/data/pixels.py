"""data/tiles.h5: every image's pixels at the working scale, and its labels.

`/<image_id>/pixels` (Z, H, W, C) and `/<image_id>/labels` (Z, H, W) are uint8, contiguous, not compressed, so that
a window is read without decoding. `/<image_id>/truth` holds labels at the original resolution where scale ≠ 1.
"""

import os
from pathlib import Path

import cv2
import h5py
import numpy as np

from tessera.errors import InputError
from tessera.tasks import IGNORE


class PixelStore:
    """Reads tiles.h5. Each process opens the file for itself: a loader process may not use its parent's handle."""

    def __init__(self, path: Path):
        self.path = path
        self._file: h5py.File | None = None
        self._process = 0

    @property
    def file(self) -> h5py.File:
        if self._file is None or self._process != os.getpid():
            self._file, self._process = h5py.File(self.path, "r"), os.getpid()
        return self._file

    def __getstate__(self) -> dict:
        return {"path": self.path, "_file": None, "_process": 0}

    @property
    def digest(self) -> str:
        """What the pixels were made from: manifest and tile params."""
        return self.file.attrs["digest"]

    def shape(self, image_id: str) -> tuple[int, int, int]:
        """(Z, H, W) at the working scale. Raises InputError for an unknown image."""
        if image_id not in self.file:
            raise InputError(f"{self.path}: holds no image {image_id!r}; rerun `dvc repro tile`")
        return self.file[image_id]["pixels"].shape[:3]

    def read_window(self, image_id: str, z: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Pixels (h, w, C) of a slice; z beyond the volume is its last slice, a window beyond the image is cut."""
        pixels = self.file[image_id]["pixels"]
        return pixels[min(max(z, 0), pixels.shape[0] - 1), y : y + height, x : x + width]

    def read_stack(
        self, image_id: str, z: int, slices: int, step: int, window: tuple[int, int, int, int]
    ) -> np.ndarray:
        """A 2.5D stack (h, w, slices·C) around slice z, window = (y, x, height, width); depths are clamped."""
        depths = [z + step * (i - slices // 2) for i in range(slices)]
        return np.concatenate([self.read_window(image_id, depth, *window) for depth in depths], axis=2)

    def read_labels(self, image_id: str, z: int, window: tuple[int, int, int, int]) -> np.ndarray:
        """Labels (h, w) uint8 of a slice at the working scale."""
        y, x, height, width = window
        return self.file[image_id]["labels"][z, y : y + height, x : x + width]

    def read_truth(self, image_id: str, z: int) -> np.ndarray:
        """Labels (H, W) uint8 of a slice at the original resolution."""
        group = self.file[image_id]
        return group["truth" if "truth" in group else "labels"][z]


def create_image(
    file: h5py.File, image_id: str, shape: tuple[int, int, int, int], original: tuple[int, int], labelled: bool
) -> h5py.Group:
    """Makes the datasets of an image, shape (Z, H, W, C) at working scale; original is its (height, width)."""
    group = file.create_group(image_id)
    group.create_dataset("pixels", shape, np.uint8)
    if labelled:
        group.create_dataset("labels", shape[:3], np.uint8)
    if labelled and tuple(shape[1:3]) != tuple(original):
        group.create_dataset(
            "truth", (shape[0], *original), np.uint8, chunks=(1, *original), compression="gzip", compression_opts=1
        )
    return group


def working_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """The (height, width) of an image at the working scale, at least 1 px."""
    return max(1, round(height * scale)), max(1, round(width * scale))


def downscale(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Averages pixels (H, W, C) over areas to `size` (height, width)."""
    if pixels.shape[:2] == tuple(size):
        return pixels
    pixels = cv2.resize(np.ascontiguousarray(pixels), size[::-1], interpolation=cv2.INTER_AREA)
    return pixels.reshape(*size, -1)


def downscale_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels (H, W) at `size`: positive where at least half of the covered valid area is; ignored where most of it is."""
    if labels.shape == tuple(size):
        return labels
    area = {"dsize": size[::-1], "interpolation": cv2.INTER_AREA}
    positive = cv2.resize((labels == 1).astype(np.float32), **area)
    ignored = cv2.resize((labels == IGNORE).astype(np.float32), **area)
    small = (positive >= 0.5 * (1 - ignored)).astype(np.uint8)
    return np.where(ignored > 0.5, np.uint8(IGNORE), small)

"""data/tiles.h5: every image's pixels at the working scale, and its labels.

`/<image_id>/pixels` (Z, H, W, C) and `/<image_id>/labels` (Z, H, W) are uint8, contiguous, not compressed, so that
a window is read without decoding. Where one label stands for all depth, labels are (1, H, W). `/<image_id>/truth` holds labels at the original resolution where scale ≠ 1.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from tessera.errors import InputError

TRUTH_ROWS = 128  # of a chunk of `truth`
AXES = {
    "xy": (0, 1, 2),
    "xz": (1, 0, 2),
    "yz": (2, 0, 1),
}  # plane → the axes of (Z, H, W) that are its depth, rows, columns


class PixelStore:
    """Reads tiles.h5 in one plane of its volumes, of which all depths, rows and columns are then those of that plane.

    Each process opens the file for itself: a loader process may not use its parent's handle.
    """

    def __init__(self, path: Path, plane: str = "xy"):
        self.path, self.plane = path, plane
        self._sizes: dict[str, tuple[tuple[int, int, int], int]] = {}  # shape and label depth of what was asked for
        self._file: h5py.File | None = None
        self._process = 0

    @property
    def file(self) -> h5py.File:
        if self._file is None or self._process != os.getpid():
            self._file, self._process = h5py.File(self.path, "r"), os.getpid()
        return self._file

    def __getstate__(self) -> dict:
        return {"path": self.path, "plane": self.plane, "_sizes": {}, "_file": None, "_process": 0}

    def in_plane(self, plane: str) -> "PixelStore":
        """The same volumes seen in another plane."""
        return self if plane == self.plane else PixelStore(self.path, plane)

    @property
    def digest(self) -> str:
        """What the pixels were made from: manifest and tile params."""
        return self.file.attrs["digest"]

    def shape(self, image_id: str) -> tuple[int, int, int]:
        """(Z, H, W) at the working scale. Raises InputError: an unknown image, or one that has but one plane."""
        return self._size(image_id)[0]

    def label_depth(self, image_id: str) -> int:
        """How many slices are labelled, and predicted: all, or 1 where one label stands for all depth."""
        return self._size(image_id)[1]

    def slice_of(self, image_id: str, z: int) -> int:
        """The slice on which the label slice z lies or, where one label stands for all depth, the middle one."""
        depth = self.shape(image_id)[0]
        return z if self.label_depth(image_id) == depth else depth // 2

    def scale(self, image_id: str) -> float:
        """Working px per original px."""
        return float(self.file[image_id].attrs["scale"])

    def read_window(self, image_id: str, z: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Pixels (h, w, C) of a slice; z beyond the volume is its last slice, a window beyond the image is cut."""
        pixels = self.file[image_id]["pixels"]
        inside = min(max(z, 0), pixels.shape[AXES[self.plane][0]] - 1)
        return pixels[self._place(inside, (y, x, height, width))]

    def read_stack(self, image_id: str, depths: Sequence[int], window: tuple[int, int, int, int]) -> np.ndarray:
        """A 2.5D stack (h, w, len(depths)·C) of slices, window = (y, x, height, width)."""
        return np.concatenate([self.read_window(image_id, depth, *window) for depth in depths], axis=2)

    def read_labels(self, image_id: str, z: int, window: tuple[int, int, int, int]) -> np.ndarray:
        """Labels (h, w) uint8 of a slice at the working scale."""
        return self.file[image_id]["labels"][self._place(z, window)]

    def read_truth(self, image_id: str, z: int) -> np.ndarray:
        """Labels (H, W) uint8 of a slice at the original resolution."""
        group = self.file[image_id]
        return group["truth" if "truth" in group else "labels"][z]

    def _place(self, z: int, window: tuple[int, int, int, int]) -> tuple[int | slice, ...]:
        """Where a window of the plane's slice z lies in (Z, H, W); what is read there has rows before columns."""
        y, x, height, width = window
        along = dict(zip(AXES[self.plane], (z, slice(y, y + height), slice(x, x + width)), strict=True))
        return along[0], along[1], along[2]

    def _size(self, image_id: str) -> tuple[tuple[int, int, int], int]:
        if image_id not in self._sizes:
            if image_id not in self.file:
                raise InputError(f"{self.path}: holds no image {image_id!r}; rerun `dvc repro tile`")
            group = self.file[image_id]
            volume = group["pixels"].shape[:3]
            if volume[0] == 1 and self.plane != "xy":
                raise InputError(
                    f"{image_id}: is no volume and has no plane {self.plane}; give all models planes: [xy]"
                )
            shape = tuple(volume[axis] for axis in AXES[self.plane])
            self._sizes[image_id] = shape, int(group.attrs.get("label_depth", shape[0]))
        return self._sizes[image_id]


def create_image(
    file: h5py.File,
    image_id: str,
    shape: tuple[int, int, int, int],
    original: tuple[int, int],
    labelled: bool,
    label_depth: int | None = None,
) -> h5py.Group:
    """Makes the datasets of an image, shape (Z, H, W, C) at working scale; original is its (height, width).

    label_depth: 1 where one label stands for all depth; by default each slice has its own.

    Pixels and labels have their place in the file at once, so that other processes can fill it.
    """
    group = file.create_group(image_id)
    if label_depth not in (None, shape[0]):
        group.attrs["label_depth"] = label_depth
    label_depth = label_depth or shape[0]
    placed = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    placed.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    placed.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    group.create_dataset("pixels", shape, np.uint8, dcpl=placed)
    if labelled:
        group.create_dataset("labels", (label_depth, *shape[1:3]), np.uint8, dcpl=placed)
    if labelled and tuple(shape[1:3]) != tuple(original):
        chunks = (1, min(TRUTH_ROWS, original[0]), original[1])
        group.create_dataset("truth", (label_depth, *original), np.uint8, chunks=chunks, compression="gzip")
    return group

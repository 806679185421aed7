"""data/tiles.h5: every image's pixels at the working scale, and its labels.

`/<image_id>/pixels` (Z, H, W, C) and `/<image_id>/labels` (Z, H, W), of several classes (Z, H, W, K), are uint8,
contiguous, not compressed, so that a window is read without decoding; so is `/<image_id>/valid` (Z, H, W), 0 outside
the valid area, of images that have one. `/<image_id>/truth` holds labels at the original
resolution where scale ≠ 1. Where one label stands for all depth, Z of labels and truth is 1.
"""

import json
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from tessera.errors import InputError

TRUTH_ROWS = 128  # of a chunk of `truth`
AXES = {
    "xy": (0, 1, 2),
    "xz": (1, 0, 2),
    "yz": (2, 0, 1),
}  # plane → the axes of (Z, H, W) that are its depth, rows, columns


class Depth(NamedTuple):
    """How deep an image or volume is."""

    slices: int
    labelled: int  # slices that have a label, and a prediction: all, or 1 where one label stands for all depth

    @property
    def one_label(self) -> bool:
        """Whether one label stands for all depth."""
        return self.labelled != self.slices

    def slice_of(self, z: int) -> int:
        """The slice on which the label slice z lies or, where one label stands for all depth, the middle one."""
        return self.slices // 2 if self.one_label else z


class PixelStore:
    """Reads tiles.h5. Each process opens the file for itself: a loader process may not use its parent's handle.

    A store turned into another plane of its volumes has the depth, rows and columns of that plane everywhere but in
    `read_truth`. Pixels and labels are read through a map of the file: HDF5 fetches 64 KiB for every row of a window.
    """

    soft = False  # whether labels may lie between 0 and 1

    def __init__(self, path: Path, plane: str = "xy"):
        self.path, self.plane = path, plane
        self._file: h5py.File | None = None
        self._process = 0

    @property
    def file(self) -> h5py.File:
        if self._file is None or self._process != os.getpid():
            self._file, self._process = h5py.File(self.path, "r"), os.getpid()
            with open(self.path, "rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._bytes = np.frombuffer(self._map, np.uint8)
            self._arrays: dict[tuple[str, str], np.ndarray] = {}
            self._label_depths: dict[str, int] = {}  # HDF5 takes 0.1 ms to look up an attribute
        return self._file

    def __getstate__(self) -> dict:
        return {"path": self.path, "plane": self.plane, "_file": None, "_process": 0}

    def in_plane(self, plane: str) -> "PixelStore":
        """The same volumes seen in another plane."""
        return self if plane == self.plane else PixelStore(self.path, plane)

    @property
    def digest(self) -> str:
        """Of all pixels and labels, and of what they were made from."""
        return self.file.attrs["digest"]

    @property
    def flip_pairs(self) -> list[list[str]]:
        """The left and right classes of the labels: `data.flip_pairs`."""
        return json.loads(self.file.attrs.get("flip_pairs", "[]"))

    def shape(self, image_id: str) -> tuple[int, int, int]:
        """(Z, H, W) at the working scale. Raises InputError: an unknown image, or one that has but one plane."""
        return self._array(image_id, "pixels").shape[:3]

    def depth(self, image_id: str) -> Depth:
        """Slices in the plane of the store, and how many of them are labelled."""
        slices, known = self.shape(image_id)[0], self._label_depths
        if image_id not in known:
            known[image_id] = int(self.file[image_id].attrs.get("label_depth", slices))
        return Depth(slices, known[image_id])

    def scale(self, image_id: str) -> float:
        """Working px per original px."""
        return float(self.file[image_id].attrs["scale"])

    def arrays(self, image_id: str) -> tuple[np.ndarray, np.ndarray]:
        """All pixels (Z, H, W, C) and labels (Z, H, W) or (Z, H, W, K) of a labelled image: maps of the file."""
        return self._array(image_id, "pixels"), self._array(image_id, "labels")

    def pixels(self, image_id: str) -> np.ndarray:
        """All pixels (Z, H, W, C): a map of the file."""
        return self._array(image_id, "pixels")

    def read_window(self, image_id: str, z: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Pixels (h, w, C) of a slice; z beyond the volume is its last slice, a window beyond the image is cut."""
        return self._window(image_id, z, y, x, height, width).copy()

    def view_stack(self, image_id: str, depths: Sequence[int], window: tuple[int, int, int, int]) -> np.ndarray:
        """As `read_stack`, not to be written to: of a single slice, a part of the map, which `forget` does not harm."""
        return (
            self._window(image_id, depths[0], *window)
            if len(depths) == 1
            else self.read_stack(image_id, depths, window)
        )

    def read_stack(self, image_id: str, depths: Sequence[int], window: tuple[int, int, int, int]) -> np.ndarray:
        """A 2.5D stack (h, w, len(depths)·C) of slices, window = (y, x, height, width)."""
        return np.concatenate([self._window(image_id, depth, *window) for depth in depths], axis=2)

    def read_labels(self, image_id: str, z: int, window: tuple[int, int, int, int]) -> np.ndarray:
        """Labels (h, w) or (h, w, K) uint8 of a slice at the working scale."""
        y, x, height, width = window
        return self._array(image_id, "labels")[z, y : y + height, x : x + width].copy()

    def valid(self, image_id: str, z: int) -> np.ndarray | None:
        """The valid area (H, W) of a label slice, uint8, 0 outside; None where all is valid."""
        return self._array(image_id, "valid")[z] if "valid" in self.file[image_id] else None

    def forget(self) -> None:
        """Lets go of the pages that were read: memory then counts what is used, not all that was looked at."""
        if self._file is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def _window(self, image_id: str, z: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        pixels = self._array(image_id, "pixels")
        return pixels[min(max(z, 0), pixels.shape[0] - 1), y : y + height, x : x + width]

    def _array(self, image_id: str, name: str) -> np.ndarray:
        """A dataset inside the map, turned into the plane, read-only."""
        file, key = self.file, (image_id, name)
        if key not in self._arrays:
            if image_id not in file:
                raise InputError(f"{self.path}: holds no image {image_id!r}; rerun `dvc repro tile`")
            dataset = file[image_id][name]
            start = dataset.id.get_offset()
            if dataset.shape[0] == 1 and self.plane != "xy":
                raise InputError(
                    f"{image_id}: is no volume and has no plane {self.plane}; give all models planes: [xy]"
                )
            self._arrays[key] = self._turned(self._bytes[start : start + dataset.size].reshape(dataset.shape))
        return self._arrays[key]

    def _turned(self, array: np.ndarray) -> np.ndarray:
        return array.transpose(*AXES[self.plane], *range(3, array.ndim))

    def read_truth(self, image_id: str, z: int) -> np.ndarray:
        """Labels (H, W) or (H, W, K) uint8 of a slice at the original resolution."""
        group = self.file[image_id]
        return group["truth" if "truth" in group else "labels"][z]


def create_image(
    file: h5py.File,
    image_id: str,
    shape: tuple[int, int, int, int],
    original: tuple[int, int],
    classes: int,
    label_depth: int | None = None,
    valid: bool = False,
) -> h5py.Group:
    """Makes the datasets of an image, shape (Z, H, W, C) at working scale; original is its (height, width).

    classes: of its labels; 0 where it has none. label_depth: 1 where one label stands for all depth; by default each
    slice has its own. valid: whether it has a valid area, as deep as its labels.

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
    planes = (classes,) if classes > 1 else ()
    if classes:
        group.create_dataset("labels", (label_depth, *shape[1:3], *planes), np.uint8, dcpl=placed)
    if valid:
        group.create_dataset("valid", (label_depth, *shape[1:3]), np.uint8, dcpl=placed)
    if classes and tuple(shape[1:3]) != tuple(original):
        chunks = (1, min(TRUTH_ROWS, original[0]), original[1], *planes)
        group.create_dataset("truth", (label_depth, *original, *planes), np.uint8, chunks=chunks, compression="gzip")
    return group

"""data/extra/<round>.h5: a round of pseudo-labels, which predictions of test images have become.

`/labels/<fit>/<image_id>` is what tiles.h5 has as labels: uint8 (Z, H, W) or, of several classes, (Z, H, W, K),
contiguous; `tessera.tasks` says what soft ones are. A fit is the number of a fold, whose networks alone made its labels,
or "full": the mean over the folds. `/seen/<fit>` is what those networks say of themselves, JSON. Attributes: of the file,
how it was made; of a fit, the digest of its labels and the checkpoints; of an image, the digest of its raw file.
"""

import hashlib
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from tessera.data.pixels import PixelStore
from tessera.disk import require_room
from tessera.errors import InputError

OWN = ["weight", "round", "digest"]  # columns of the patches of a round beside those of patches.parquet


class Labels(NamedTuple):
    """Where the labels of an image lie."""

    path: Path
    offset: int  # bytes
    shape: tuple[int, ...]
    source: str  # digest of the image's raw file

    @property
    def array(self) -> np.ndarray:
        """A map of the file, read-only."""
        return np.asarray(np.memmap(self.path, np.uint8, "r", self.offset, self.shape))


class FitLabels(NamedTuple):
    """The labels of all images, as the networks of a fold, or of all, see them."""

    digest: str
    seen: list[dict]  # what each network's checkpoint says of itself
    images: dict[str, Labels]


class Round(NamedTuple):
    """What a round's file says."""

    name: str
    about: dict  # labels (hard or soft), bounds, weight, classes, and how it was made
    fits: dict[str, FitLabels]

    @property
    def soft(self) -> bool:
        return self.about["labels"] == "soft"


class Made(NamedTuple):
    """The labels of an image, while they are made."""

    image_id: str
    source: str  # digest of its raw file
    shape: tuple[int, ...]
    bands: Iterable[tuple[int, int, np.ndarray]]  # (slice, first row, labels of some rows), every row once


def read_round(path: Path) -> Round:
    """Reads all but the labels. Raises InputError when the file is not there."""
    if not path.is_file():
        raise InputError(f"{path}: is not here; `dvc pull {path}.dvc` brings it, if the round was ever made")
    with h5py.File(path) as file:
        fits = {}
        for fit, group in file["labels"].items():
            images = {
                name: Labels(path, labels.id.get_offset(), labels.shape, labels.attrs["digest"])
                for name, labels in group.items()
            }
            fits[fit] = FitLabels(group.attrs["digest"], json.loads(file["seen"][fit].asstr()[()]), images)
        return Round(path.stem, dict(file.attrs), fits)


def unlike(path: Path, about: dict) -> str:
    """In which attributes a round is not the one that is described; empty when it is."""
    with h5py.File(path) as file:
        there = {name: np.asarray(value).tolist() for name, value in file.attrs.items()}
    return ", ".join(name for name, value in about.items() if there.get(name) != np.asarray(value).tolist())


def write_fit(file: h5py.File, fit: str, seen: list[dict], checkpoints: list[str], images: Iterable[Made]) -> None:
    """Adds a fit to a round whose own attributes are written; checkpoints: digests."""
    group = file.create_group(f"labels/{fit}")
    digest = hashlib.sha256(repr((file.attrs["labels"], file.attrs["weight"].item())).encode())
    for image in images:
        require_room(math.prod(image.shape), Path(file.filename))
        labels = group.create_dataset(image.image_id, image.shape, np.uint8)
        labels.attrs["digest"] = image.source
        digest.update(repr((image.image_id, image.shape)).encode())
        for z, y, rows in image.bands:
            labels[z, y : y + len(rows)] = rows
            digest.update(rows.tobytes())
    group.attrs.update(digest=digest.hexdigest(), checkpoints=checkpoints)
    file[f"seen/{fit}"] = json.dumps(seen)


class LaidOver(PixelStore):
    """A pixel store in which the labels of some images are those of rounds."""

    def __init__(self, path: Path, labels: dict[str, Labels], soft: bool, plane: str = "xy"):
        super().__init__(path, plane)
        self.labels, self.soft = labels, soft

    def __getstate__(self) -> dict:
        return super().__getstate__() | {"labels": self.labels, "soft": self.soft}

    def in_plane(self, plane: str) -> PixelStore:
        return self if plane == self.plane else LaidOver(self.path, self.labels, self.soft, plane)

    def _array(self, image_id: str, name: str) -> np.ndarray:
        if name != "labels" or image_id not in self.labels:
            return super()._array(image_id, name)
        return self._turned(self.labels[image_id].array)

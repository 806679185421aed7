"""Labels, and valid areas, as mask files."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tessera.data.annotations.files import LabelFiles
from tessera.data.annotations.mask_kinds import MASKS, above_0
from tessera.data.annotations.planes import LabelSlice
from tessera.data.annotations.uniting import is_picture, unite
from tessera.data.annotations.volumes import OpenVolumes
from tessera.data.layout import Item
from tessera.errors import InputError, collected

if TYPE_CHECKING:
    from tessera.params.data import Data


class MaskFiles:
    """One mask file an image or slice, one for a whole volume, one a class, or several that are united."""

    def __init__(self, data: "Data", problems: list[str]):
        self.data, self.pattern = data, data.train_masks
        self.volumes = OpenVolumes()
        self.meanings = {"": data.classes[0]}  # what stands for {class} in a file's name → what the file shows
        if "{class}" in self.pattern:
            self.meanings = {name: name for name in data.classes} | data.class_names
        self.files = LabelFiles(Path(data.source), self.pattern, tuple(self.meanings))

    def bands(self, asked: LabelSlice, rows: int) -> Iterator[np.ndarray]:
        """Planes (K, h, W) of `rows` rows; a class without a file is empty where another one has a file.

        Raises InputError naming each file: not there, another size, undeclared values.
        """
        inside, read = _inside(asked, self.pattern), MASKS[self.data.mask_kind]
        sources = [
            (path, read(path, self.volumes, inside, self.data, self.meanings[name]))
            for path, name in self.files.of(asked.image_id, asked.name)
        ]
        return unite(sources, len(self.data.classes), asked.shape, rows)

    def shared(self, asked: LabelSlice) -> bool:
        """Whether all slices of the volume have this label."""
        return "{slice}" not in self.pattern and _one_for_all(self.files.of(asked.image_id, asked.name), self.volumes)

    def strangers(self, items: list[Item]) -> list[str]:
        """A problem for every mask without an image or slice, of two, or of no known class."""
        return self.files.misplaced(items, "mask")

    def close(self) -> None:
        """Closes the files of the image that is done."""
        self.volumes.close()


class ValidMasks:
    """The valid areas: where the files of `data.valid_masks` are not 0."""

    def __init__(self, data: "Data"):
        self.pattern = data.valid_masks
        self.files = LabelFiles(Path(data.source), self.pattern)
        self.volumes = OpenVolumes()

    def known(self, image_id: str, names: tuple[str, ...]) -> bool:
        """Whether an image has a valid area: test images need none. names: as in `LabelSlice`."""
        return self.files.there(image_id, names[0])

    def bands(self, asked: LabelSlice, rows: int) -> Iterator[np.ndarray]:
        """(1, h, W) uint8 of `rows` rows, 0 outside. Raises InputError naming each file: not there, another size, …

        and where nothing is valid.
        """
        files, some = self.files.of(asked.image_id, asked.name), False
        sources = [(path, above_0(path, self.volumes, _inside(asked, self.pattern))) for path, _ in files]
        for planes in unite(sources, 1, asked.shape, rows):
            some = some or bool(planes.any())
            yield planes
        if not some:
            raise InputError(f"{files[0][0]}: the valid area (data.valid_masks) is empty; values above 0 are valid")

    def shared(self, asked: LabelSlice) -> bool:
        """Whether all slices of the volume have this area."""
        return "{slice}" not in self.pattern and _one_for_all(self.files.of(asked.image_id, asked.name), self.volumes)

    def strangers(self, items: list[Item]) -> list[str]:
        """A problem for every file without an image or slice, or of two."""
        return self.files.misplaced(items, "valid mask")

    def close(self) -> None:
        """Closes the files of the image that is done."""
        self.volumes.close()


def _inside(asked: LabelSlice, pattern: str) -> LabelSlice:
    """What is asked of a file: its only image where the pattern names the slice, otherwise maybe one of many."""
    return asked.alone() if "{slice}" in pattern else asked


def _one_for_all(files: list[tuple[Path, str]], volumes: OpenVolumes) -> bool:
    """Whether no file holds slices of its own."""
    for path, _ in files:
        if not is_picture(path):
            with collected([]), volumes.open(path, "all") as reader:  # what is wrong with a file, its bands say
                if reader.shape[0] > 1:
                    return False
    return True

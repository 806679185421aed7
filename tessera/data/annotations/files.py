"""Label files by pattern: a file an image or slice, one for a whole volume, or, with * or {class}, several."""

import functools
import re
from pathlib import Path, PurePosixPath

from tessera.data.annotations.listing import Listing
from tessera.data.layout import Item
from tessera.errors import InputError, collected


class LabelFiles:
    """The files of a pattern. The folder is looked at once: files that come later are not seen."""

    def __init__(self, source: Path, pattern: str, classes: tuple[str, ...] = ("",)):
        """classes: what {class} may stand for."""
        self.source, self.pattern, self.classes = source, PurePosixPath(pattern).as_posix(), classes

    def of(self, image_id: str, slice_name: str) -> list[tuple[Path, str]]:
        """The files that hold the label of an image or slice, sorted, each with the one of the classes in its name.

        Raises InputError when a * or {class} matches none.
        """
        if "*" not in self.pattern and "{class}" not in self.pattern:
            return [(label_file(self.source, self.pattern, image_id, slice_name), "")]
        found = [
            (self.source / path, name)
            for name in self.classes
            for path in sorted(self._listing.matching(_names(image_id, slice_name, name)))
        ]
        if not found:
            place = label_file(self.source, self.pattern, image_id, slice_name)
            raise InputError(f"{place}: no file matches; the image has no label")
        return found

    def there(self, image_id: str, slice_name: str) -> bool:
        """Whether an image or slice has files of this pattern."""
        with collected([]):  # a * that matches none
            return all(path.is_file() for path, _ in self.of(image_id, slice_name))
        return False

    def misplaced(self, items: list[Item], what: str) -> list[str]:
        """A problem for each file (`what`: mask, …) that belongs to no image, slice or class, or to two of them."""
        owners: dict[Path, set[str]] = {self.source / path: set() for path in self._listing.paths}
        for item in items:
            for name in item.slices if item.slices and "{slice}" in self.pattern else ("",):
                with collected([]):  # an image without label has said so
                    for path, class_name in self.of(item.image_id, name):
                        owner = row_id(item.image_id, name) + f" (class {class_name})" * bool(class_name)
                        owners.setdefault(path, set()).add(owner)
        or_class = (
            f", or its class is none of {', '.join(self.classes)} (data.class_names)"
            if "{class}" in self.pattern
            else ""
        )
        return [f"{path}: this {what} has no image{or_class}" for path, ids in sorted(owners.items()) if not ids] + [
            f"{path}: this {what} is that of {' and of '.join(sorted(ids))}; make the pattern {self.pattern!r} tell them apart"
            for path, ids in sorted(owners.items())
            if len(ids) > 1
        ]

    @functools.cached_property
    def _listing(self) -> Listing:
        return Listing(self.source, self.pattern)


def label_file(source: Path, pattern: str, image_id: str, slice_name: str) -> Path:
    """The one file of a pattern without * and {class}."""
    names = _names(image_id, slice_name, "{class}")
    return source / re.sub(r"\{\w+\}", lambda field: names[field[0]], pattern)


def row_id(image_id: str, slice_name: str) -> str:
    """The id of a row or record: the image_id, or `<volume>_<slice>`."""
    return f"{image_id}_{slice_name}" if slice_name else image_id


def row_ids(items: list[Item]) -> set[str]:
    """The ids of all images and slices."""
    return {row_id(item.image_id, name) for item in items for name in item.slices or ("",)}


def _names(image_id: str, slice_name: str, class_name: str) -> dict[str, str]:
    return {"{image_id}": image_id, "{slice}": slice_name, "{class}": class_name}

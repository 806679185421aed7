"""Label files by pattern: a file an image or slice, one for a whole volume, or, with * or {class}, several."""

import glob
import re
from pathlib import Path

from tessera.data.layout import Item, escaped
from tessera.errors import InputError, collected


def label_files(
    source: Path, pattern: str, image_id: str, slice_name: str, classes: tuple[str, ...] = ("",)
) -> list[tuple[Path, str]]:
    """The files that hold the label of an image or slice, sorted, each with the one of `classes` in its name.

    Raises InputError when a * or {class} matches none.
    """
    if "*" not in pattern and "{class}" not in pattern:
        return [(label_file(source, pattern, image_id, slice_name), "")]
    found = [
        (path, name)
        for name in classes
        for path in sorted(source.glob(_fill(escaped(pattern), *map(glob.escape, (image_id, slice_name, name)))))
    ]
    if not found:
        place = label_file(source, pattern, image_id, slice_name)
        raise InputError(f"{place}: no file matches; the image has no label")
    return found


def label_file(source: Path, pattern: str, image_id: str, slice_name: str) -> Path:
    """The one file of a pattern without * and {class}."""
    return source / _fill(pattern, image_id, slice_name, "{class}")


def misplaced_files(
    source: Path, pattern: str, items: list[Item], what: str, classes: tuple[str, ...] = ("",)
) -> list[str]:
    """A problem for each file (`what`: mask, …) that belongs to no image, slice or class, or to two of them."""
    anything = re.sub(r"\*?(\{\w+\}\*?)+", "*", pattern)
    owners: dict[Path, set[str]] = {path: set() for path in source.glob(escaped(anything))}
    for item in items:
        for name in item.slices if item.slices and "{slice}" in pattern else ("",):
            with collected([]):  # an image without label has said so
                for path, class_name in label_files(source, pattern, item.image_id, name, classes):
                    owner = row_id(item.image_id, name) + f" (class {class_name})" * bool(class_name)
                    owners.setdefault(path, set()).add(owner)
    or_class = f", or its class is none of {', '.join(classes)} (data.class_names)" if "{class}" in pattern else ""
    return [f"{path}: this {what} has no image{or_class}" for path, ids in sorted(owners.items()) if not ids] + [
        f"{path}: this {what} is that of {' and of '.join(sorted(ids))}; make the pattern {pattern!r} tell them apart"
        for path, ids in sorted(owners.items())
        if len(ids) > 1
    ]


def row_id(image_id: str, slice_name: str) -> str:
    """The id of a row or record: the image_id, or `<volume>_<slice>`."""
    return f"{image_id}_{slice_name}" if slice_name else image_id


def row_ids(items: list[Item]) -> set[str]:
    """The ids of all images and slices."""
    return {row_id(item.image_id, name) for item in items for name in item.slices or ("",)}


def _fill(pattern: str, image_id: str, slice_name: str, class_name: str) -> str:
    for field, name in (("{class}", class_name), ("{slice}", slice_name), ("{image_id}", image_id)):
        pattern = pattern.replace(field, name)
    return pattern

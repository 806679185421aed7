"""Label files by pattern: a file an image or slice, one for a whole volume, or, with *, several."""

import glob
import re
from pathlib import Path

from tessera.data.layout import Item
from tessera.errors import InputError, collected


def label_files(source: Path, pattern: str, image_id: str, slice_name: str) -> list[Path]:
    """The files that hold the label of an image or slice, sorted. Raises InputError when a * matches none."""
    if "*" not in pattern:
        return [label_file(source, pattern, image_id, slice_name)]
    found = sorted(source.glob(_fill(pattern, glob.escape(image_id), glob.escape(slice_name))))
    if not found:
        raise InputError(
            f"{label_file(source, pattern, image_id, slice_name)}: no file matches; the image has no label"
        )
    return found


def label_file(source: Path, pattern: str, image_id: str, slice_name: str) -> Path:
    """The one file of a pattern without *."""
    return source / _fill(pattern, image_id, slice_name)


def stray_files(source: Path, pattern: str, items: list[Item]) -> list[Path]:
    """The files that match the pattern and belong to no image or slice of `items`."""
    expected = set()
    for item in items:
        for name in item.slices or ("",):
            with collected([]):  # an image without label has said so
                expected.update(label_files(source, pattern, item.image_id, name))
    return sorted(set(source.glob(re.sub(r"\{\w+\}", "*", pattern))) - expected)


def row_id(image_id: str, slice_name: str) -> str:
    """The id of a row or record: the image_id, or `<volume>_<slice>`."""
    return f"{image_id}_{slice_name}" if slice_name else image_id


def row_ids(items: list[Item]) -> set[str]:
    """The ids of all images and slices."""
    return {row_id(item.image_id, name) for item in items for name in item.slices or ("",)}


def _fill(pattern: str, image_id: str, slice_name: str) -> str:
    return pattern.replace("{image_id}", image_id).replace("{slice}", slice_name)

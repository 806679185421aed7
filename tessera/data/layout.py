"""Finds images in a folder by a pattern such as `train_images/{image_id}.jpg` or `train/{image_id}/{slice}.png`."""

import re
from pathlib import Path
from typing import NamedTuple

from tessera.errors import InputError


class Item(NamedTuple):
    """An image (one file, no slice names) or a volume (a file a slice, in the order of depth)."""

    image_id: str
    pattern: str  # relative to the source, {slice} open in volumes
    slices: tuple[str, ...]

    def files(self, source: Path) -> list[Path]:
        """The item's files in order of depth."""
        return files_of(source, self.pattern, self.slices)


def files_of(source: Path, pattern: str, slices: tuple[str, ...]) -> list[Path]:
    """The files of a pattern whose image_id is filled in: one a slice, or one that holds them all."""
    if "{slice}" not in pattern:
        return [source / pattern]
    return [source / pattern.replace("{slice}", name) for name in slices]


def find_items(source: Path, pattern: str) -> list[Item]:
    """Every image or volume that matches, sorted by id; slices in natural order (2 before 10).

    Raises InputError when nothing matches.
    """
    found: dict[str, list[str]] = {}
    expression = _expression(pattern)
    for path in source.glob(re.sub(r"\{\w+\}", "*", pattern)):
        match = expression.fullmatch(path.relative_to(source).as_posix())
        if match:
            found.setdefault(match["image_id"], []).append(match.groupdict().get("slice", ""))
    if not found:
        raise InputError(
            f"{source}: no file matches {pattern!r}; put the data there or mend data.source and the pattern"
        )
    return [
        Item(image_id, pattern.replace("{image_id}", image_id), tuple(sorted(sorted(filter(None, names)), key=natural)))
        for image_id, names in sorted(found.items())
    ]


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key under which the numbers inside names count as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def _expression(pattern: str) -> re.Pattern:
    pieces = re.split(r"\{(\w+)\}", pattern)
    return re.compile(
        "".join(
            re.escape(piece) if even else f"(?P<{piece}>[^/]+)"
            for piece, even in zip(pieces, [True, False] * len(pieces), strict=False)
        )
    )

"""Finds images in a folder by a pattern such as `train_images/{image_id}.jpg` or `train/{image_id}/{slice}_*.png`."""

import glob
import re
from pathlib import Path
from typing import NamedTuple

from tessera.errors import InputError

_STANDS_FOR_NAMES = re.compile(r"(\{\w+\}|\*)")
_BETWEEN = "//"  # no path within a folder holds it


class Item(NamedTuple):
    """An image (one file, no slice names) or a volume (a file a slice, in the order of depth).

    `pattern` is relative to the source and names the files exactly: {slice} alone is open in it. Where the slices'
    files differ in more than that, it lists them all, with "//" between.
    """

    image_id: str
    pattern: str
    slices: tuple[str, ...]
    group: str = ""  # "" where the layout names none

    def files(self, source: Path) -> list[Path]:
        """The item's files in order of depth."""
        return files_of(source, self.pattern, self.slices)


def files_of(source: Path, pattern: str, slices: tuple[str, ...]) -> list[Path]:
    """The files that an `Item.pattern` names: one a slice, or one that holds them all."""
    if "{slice}" not in pattern:
        return [source / name for name in pattern.split(_BETWEEN)]
    return [source / pattern.replace("{slice}", name) for name in slices]


def find_items(source: Path, pattern: str) -> list[Item]:
    """Every image or volume that matches, sorted by id; slices in natural order (2 before 10).

    {image_id}, {slice} and {group} stand for names, the first for as long a one as fits; * for any part of a name.
    Raises InputError when nothing matches, and for two files of one image or slice, naming both.
    """
    found: dict[str, list[re.Match]] = {}
    expression = _expression(pattern)
    for path in source.glob(_STANDS_FOR_NAMES.sub("*", escaped(pattern))):
        match = expression.fullmatch(path.relative_to(source).as_posix())
        if match:
            found.setdefault(match["image_id"], []).append(match)
    if not found:
        raise InputError(
            f"{source}: no file matches {pattern!r}; put the data there or mend data.source and the pattern"
        )
    problems: list[str] = []
    items = [_item(source, image_id, found[image_id], problems) for image_id in sorted(found)]
    if problems:
        raise InputError(*problems)
    return items


def escaped(pattern: str) -> str:
    """A pattern as `glob` reads it: * alone stands for something, brackets and ? are what they are."""
    return glob.escape(pattern).replace("[*]", "*")


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key under which the numbers inside names count as numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def _item(source: Path, image_id: str, matches: list[re.Match], problems: list[str]) -> Item:
    first, *_ = matches = sorted(matches, key=lambda match: match.string)
    files: dict[str, re.Match] = {}  # by slice name, "" for an image
    for match in matches:
        name = match.groupdict().get("slice", "")
        same = files.setdefault(name, match)
        if same is not match:
            what = f"slice {name!r} of image {image_id!r}" if name else f"image {image_id!r}"
            problems.append(f"{source}: {same.string} and {match.string} are both {what}; one file is expected")
        elif _group(match) != _group(first):
            problems.append(f"{source}: {first.string} and {match.string} put image {image_id!r} into two groups")
    slices = tuple(sorted(sorted(filter(None, files)), key=natural))
    in_order = [files[name] for name in slices or ("",)]
    open_names = {_with_open_slice(match) for match in in_order}
    pattern = open_names.pop() if len(open_names) == 1 else _BETWEEN.join(match.string for match in in_order)
    return Item(image_id, pattern, slices, _group(first))


def _group(match: re.Match) -> str:
    return match.groupdict().get("group", "")


def _with_open_slice(match: re.Match) -> str:
    if "slice" not in match.groupdict():
        return match.string
    start, end = match.span("slice")
    return f"{match.string[:start]}{{slice}}{match.string[end:]}"


def _expression(pattern: str) -> re.Pattern:
    pieces = _STANDS_FOR_NAMES.split(pattern)  # literal, field, literal, field, …
    fields = ["[^/]*" if field == "*" else f"(?P<{field[1:-1]}>[^/]+)" for field in pieces[1::2]] + [""]
    return re.compile("".join(re.escape(literal) + field for literal, field in zip(pieces[::2], fields, strict=True)))

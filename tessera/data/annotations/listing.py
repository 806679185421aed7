"""What a folder holds: looked at once, and searched without going through all of it for each image."""

import re
from bisect import bisect_left, bisect_right
from pathlib import Path

from tessera.data.layout import escaped

_OPEN = re.compile(r"(\*\*/|\*)")
_FIELD = re.compile(r"\{\w+\}")
_MEANS = {"**/": "(?:[^/]+/)*", "*": "[^/]*"}  # as in `glob`


class Listing:
    """The files that match a pattern, whatever the names in it; `paths` are relative to the source."""

    def __init__(self, source: Path, pattern: str):
        anything = re.sub(r"\*?(\{\w+\}\*?)+", "*", pattern)
        self.paths = sorted(path.relative_to(source).as_posix() for path in source.glob(escaped(anything)))
        self._backwards = sorted(path[::-1] for path in self.paths)
        self._pieces = _OPEN.split(pattern)  # closed, open, closed, …

    def matching(self, names: dict[str, str]) -> list[str]:
        """The paths with these names for the fields; * is any part of a name.

        Only paths that begin, or end, as the pattern does are tried: few, where files are named by their image.
        """
        closed = [_FIELD.sub(lambda field: names[field[0]], piece) for piece in self._pieces[::2]]
        stars = [_MEANS[piece] for piece in self._pieces[1::2]] + [""]
        expression = re.compile("".join(re.escape(a) + star for a, star in zip(closed, stars, strict=True)))
        forwards, backwards = _span(self.paths, closed[0]), _span(self._backwards, closed[-1][::-1])
        if len(forwards) <= len(backwards):
            few = [self.paths[n] for n in forwards]
        else:
            few = [self._backwards[n][::-1] for n in backwards]
        return [path for path in few if expression.fullmatch(path)]


def _span(paths: list[str], start: str) -> range:
    """Where those of the sorted paths are that begin so."""

    def beginning(path: str) -> str:
        return path[: len(start)]

    return range(bisect_left(paths, start, key=beginning), bisect_right(paths, start, key=beginning))

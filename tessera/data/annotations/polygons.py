"""Labels as polygons: a JSON file an image or slice, or a .jsonl file with a line an image (`id`, `annotations`).

Vertices are pixel centres, x before y; what OpenCV's `fillPoly` fills is inside, boundaries with it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tessera.data.annotations.files import LabelFiles, label_file, row_id, row_ids
from tessera.data.annotations.filled import Area, Filled
from tessera.data.annotations.geometry import members, read_member, read_ring
from tessera.data.annotations.planes import LabelSlice, empty_planes, meaning_of, spans
from tessera.data.layout import Item
from tessera.errors import InputError, collected

if TYPE_CHECKING:
    from tessera.params.data import Data


class PolygonFiles:
    """The polygons of `data.train_polygons`."""

    def __init__(self, data: "Data", problems: list[str]):
        """Reads the lines of a .jsonl; what is wrong with them goes to `problems`. Raises InputError: unreadable."""
        self.data, self.source = data, Path(data.source)
        self.in_lines = "{image_id}" not in data.train_polygons
        self.records = _read_lines(self.source / data.train_polygons, data.id, problems) if self.in_lines else {}

    def bands(self, asked: LabelSlice, rows: int) -> Iterator[np.ndarray]:
        """Planes (K, h, W) of `rows` rows. Besides the vertices, only polygons that reach into a band are held filled.

        Raises InputError naming file and polygon, before the first band: no JSON, unknown class, wrong geometry.
        """
        waiting = sorted(self._areas(asked), key=lambda area: area.top, reverse=True)
        filled: list[Filled] = []
        for y0, y1 in spans(asked.shape[0], rows):
            while waiting and waiting[-1].top < y1:
                filled.append(waiting.pop().fill(asked.shape))
            planes = empty_planes(len(self.data.classes), (y1 - y0, asked.shape[1]))
            for area in filled:
                area.paint(planes, y0, self.data.classes)
            filled = [area for area in filled if area.top + len(area.mask) > y1]
            yield planes

    def shared(self, asked: LabelSlice) -> bool:
        """Whether all slices of the volume have this label."""
        return not self.in_lines and "{slice}" not in self.data.train_polygons

    def close(self) -> None:
        """Nothing stays open from slice to slice."""

    def strangers(self, items: list[Item]) -> list[str]:
        """A problem for every file or line without an image or slice."""
        if not self.in_lines:
            return LabelFiles(self.source, self.data.train_polygons).misplaced(items, "polygon file")
        known = row_ids(items)
        return [f"{place}: id {name!r} has no image" for name, (place, _) in self.records.items() if name not in known]

    def _areas(self, asked: LabelSlice) -> list[Area]:
        place, document = self._document(asked.image_id, asked.name)
        areas, problems = [], []
        with collected(problems, f"{place}: "):
            for number, member in enumerate(members(document), 1):
                with collected(problems, f"{place} polygon {number}: "):
                    name, polygons = read_member(member)
                    meaning = meaning_of(name, self.data)
                    areas += [Area(meaning, [read_ring(ring, asked.shape) for ring in rings]) for rings in polygons]
        if problems:
            raise InputError(*problems)
        return areas

    def _document(self, image_id: str, slice_name: str) -> tuple[str, object]:
        """(place, JSON) of an image or slice. Raises InputError."""
        if not self.in_lines:
            path = label_file(self.source, self.data.train_polygons, image_id, slice_name)
            return str(path), _parse(_read_text(path), path, 1)
        name = row_id(image_id, slice_name)
        if name not in self.records:
            raise InputError(f"{self.source / self.data.train_polygons}: no line for id {name!r}")
        return self.records[name]


def _read_lines(path: Path, id_key: str, problems: list[str]) -> dict[str, tuple[str, object]]:
    """id → (place, record) of each line; a wrong line goes to `problems`."""
    records = {}
    for number, line in enumerate(_read_text(path).rstrip("\n").split("\n"), 1):
        with collected(problems):
            record = _parse(line, path, number)
            if not isinstance(record, dict) or id_key not in record:
                raise InputError(
                    f"{path} line {number}: has no {id_key!r}; a line is {{{id_key!r}: …, 'annotations': […]}}"
                )
            name = str(record[id_key])
            if name in records:
                raise InputError(f"{path} line {number}: id {name!r} stands there a second time")
            records[name] = (f"{path} line {number} (id {name})", record)
    return records


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no UTF-8 at byte {error.start}; save it so") from None


def _parse(text: str, path: Path, line: int) -> object:
    """The JSON of a text that starts at `line` of the file."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path} line {line + error.lineno - 1}: is no valid JSON ({error.msg})") from None

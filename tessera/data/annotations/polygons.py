"""Labels as polygons: a JSON file an image or slice, or a .jsonl file with a line an image (`id`, `annotations`).

Vertices are pixel centres, x before y; what OpenCV's `fillPoly` fills is inside, boundaries with it.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tessera.data.annotations.files import label_file, misplaced_files, row_id, row_ids
from tessera.data.annotations.geometry import members, read_member, read_ring
from tessera.data.annotations.planes import empty_planes, meaning_of, paint
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
        self.per_slice = self.in_lines or "{slice}" in data.train_polygons
        self.records = _read_lines(self.source / data.train_polygons, data.id, problems) if self.in_lines else {}

    def read(self, image_id: str, slice_name: str, shape: tuple[int, int]) -> np.ndarray:
        """Planes (K, H, W). Raises InputError naming file and polygon: no JSON, unknown class, wrong geometry."""
        place, document = self._document(image_id, slice_name)
        canvases, problems = {}, []
        with collected(problems, f"{place}: "):
            for number, member in enumerate(members(document), 1):
                with collected(problems, f"{place} polygon {number}: "):
                    name, polygons = read_member(member)
                    canvas = canvases.setdefault(meaning_of(name, self.data), np.zeros(shape, np.uint8))
                    for polygon in polygons:
                        cv2.fillPoly(canvas, [read_ring(ring, shape) for ring in polygon], 1)
        if problems:
            raise InputError(*problems)
        planes = empty_planes(self.data, shape)
        for meaning, canvas in canvases.items():
            paint(planes, canvas, meaning, self.data.classes)
        return planes

    def strangers(self, items: list[Item]) -> list[str]:
        """A problem for every file or line without an image or slice."""
        if not self.in_lines:
            return misplaced_files(self.source, self.data.train_polygons, items, "polygon file")
        known = row_ids(items)
        return [f"{place}: id {name!r} has no image" for name, (place, _) in self.records.items() if name not in known]

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

"""One truth, said in every way that `ingest` reads: two boxes on image a, one on b, none on c."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from tessera.data.annotations.planes import LabelSlice
from tessera.data.labelling import Labels
from tessera.labels import RleForm
from tessera.params.data import Data

SIZES = {"a": (24, 40), "b": (33, 20), "c": (40, 24)}
BOXES = {"a": [(2, 3, 9, 12), (15, 20, 24, 40)], "b": [(0, 0, 5, 20)], "c": []}  # y0, x0, y1, x1; half-open
GREY = {"train_masks": "masks/{image_id}.png"}


def box_mask(name: str, *boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A mask (H, W) of image `name`: box n has the value n + 1."""
    mask = np.zeros(SIZES[name], np.uint8)
    for number, (y0, x0, y1, x1) in enumerate(boxes, 1):
        mask[y0:y1, x0:x1] = number
    return mask


def truth(name: str) -> np.ndarray:
    """The label (H, W) uint8 of image `name`."""
    return (box_mask(name, *BOXES[name]) > 0).astype(np.uint8)


def read_label(labels: Labels, name: str, z: int = 0, names: tuple[str, ...] = ("",), rows: int = 7) -> np.ndarray:
    """The whole label (H, W) or (H, W, K) of slice z of image `name`; `names` are those of all slices."""
    size = SIZES[name[0]]
    bands = list(labels.bands(LabelSlice(name, names, z, size), rows))
    assert [y for y, _ in bands] == list(range(0, size[0], rows))
    assert all(len(band) == rows for _, band in bands[:-1])
    return np.concatenate([band for _, band in bands])


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Grey or RGB."""
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)


def _grey(source: Path) -> dict:
    for name in BOXES:
        write_png(source / f"masks/{name}.png", truth(name))
    return GREY


def _colour(source: Path) -> dict:
    for name in BOXES:
        write_png(source / f"masks/{name}.png", truth(name)[..., None] * np.array([255, 128, 0], np.uint8))
    return {**GREY, "mask_kind": "colour", "colours": {"#FF8000": "vessel", "#000000": "background"}}


def _palette(source: Path) -> dict:
    (source / "masks").mkdir()
    for name in BOXES:
        image = Image.fromarray(box_mask(name, *BOXES[name]), mode="P")
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        image.save(source / f"masks/{name}.png")
    colours = {"#000000": "background", "#800000": "vessel", "#008000": "vessel"}
    return {**GREY, "mask_kind": "colour", "colours": colours}


def _several(source: Path) -> dict:
    for name, boxes in BOXES.items():
        for number, box in enumerate(boxes or [(0, 0, 0, 0)]):
            write_png(source / f"masks/{name}_{number}.png", box_mask(name, box) * 255)
    return {"train_masks": "masks/{image_id}_*.png", "positive": 255}


def _instances(source: Path) -> dict:
    for name, boxes in BOXES.items():
        write_png(source / f"masks/{name}.png", box_mask(name, *boxes).astype(np.uint16) * 300)
    return {**GREY, "mask_kind": "instances"}


def _coloured_instances(source: Path) -> dict:
    for name, boxes in BOXES.items():
        write_png(source / f"masks/{name}.png", box_mask(name, *boxes)[..., None] * np.array([0, 70, 9], np.uint8))
    return {**GREY, "mask_kind": "instances"}


def _rle(source: Path) -> dict:
    rows = [(name, RleForm().encode(truth(name))) for name in BOXES]
    return _table(source, rows, ["id", "rle"])


def _relative(source: Path) -> dict:
    form = RleForm("row", 0, True, ("-1",))
    rows = [(f"{name}.jpg", form.encode(truth(name))) for name in BOXES]
    for path in (source / "meta.csv", source / "sample.csv"):
        table = pd.read_csv(path, dtype=str)
        table.assign(id=table.id + ".jpg").to_csv(path, index=False)
    said = {"rle_order": "row", "rle_base": 0, "rle_starts": "relative", "rle_empty": ["-1"], "id_ending": ".jpg"}
    return _table(source, rows, ["id", "EncodedPixels"]) | said | {"rle_column": "EncodedPixels"}


def _several_rows(source: Path) -> dict:
    boxes = [(name, box) for name in BOXES for box in BOXES[name] or [(0, 0, 0, 0)]]
    rows = [(name, RleForm().encode(box_mask(name, box))) for name, box in boxes]
    return _table(source, rows, ["id", "rle"]) | {"rle_rows": "several"}


def _class_rows(source: Path) -> dict:
    rows = []
    for name in BOXES:
        rows.append((name, "Large vessel", RleForm().encode(truth(name))))
        rows.append((name, "nerve", RleForm().encode(1 - truth(name))))
    names = {"Large vessel": "vessel", "nerve": "background"}
    return _table(source, rows, ["id", "class", "rle"]) | {"class_column": "class", "class_names": names}


def _table(source: Path, rows: list[tuple], columns: list[str]) -> dict:
    pd.DataFrame(rows, columns=columns).to_csv(source / "train.csv", index=False)
    return {"train_masks": None, "train_rle": "train.csv"}


def _rings(name: str) -> Iterator[list[list[int]]]:
    for y0, x0, y1, x1 in BOXES[name]:
        yield [[x0, y0], [x1 - 1, y0], [x1 - 1, y1 - 1], [x0, y1 - 1], [x0, y0]]


def _features(source: Path) -> dict:
    said = {"classification": {"name": "Vessel", "colorRGB": -1}}
    return _json(source, lambda name: [_feature("Polygon", [ring], said) for ring in _rings(name)]) | {
        "class_names": {"Vessel": "vessel"}
    }


def _collection(source: Path) -> dict:
    return _json(
        source,
        lambda name: {
            "type": "FeatureCollection",
            "features": [_feature("MultiPolygon", [[ring] for ring in _rings(name)], None)],
        },
    )


def _bare_rings(source: Path) -> dict:
    return _json(source, lambda name: list(_rings(name)))


def _lines(source: Path) -> dict:
    lines = []
    for name in BOXES:
        said = [{"type": "vessel", "coordinates": [ring]} for ring in _rings(name)]
        other = {"type": "nerve", "coordinates": [[[0, 0], [19, 0], [19, 19]]]}
        lines.append(json.dumps({"id": name, "annotations": [*said, other]}))
    (source / "polygons.jsonl").write_text("\n".join(lines) + "\n")
    return {"train_masks": None, "train_polygons": "polygons.jsonl", "class_names": {"nerve": "background"}}


def _feature(kind: str, coordinates: list, properties: dict | None) -> dict:
    return {"type": "Feature", "properties": properties, "geometry": {"type": kind, "coordinates": coordinates}}


def _json(source: Path, document: Callable[[str], object]) -> dict:
    (source / "polygons").mkdir()
    for name in BOXES:
        (source / f"polygons/{name}.json").write_text(json.dumps(document(name)))
    return {"train_masks": None, "train_polygons": "polygons/{image_id}.json"}


WAYS = {
    "grey": _grey, "colour": _colour, "palette": _palette, "several masks": _several, "instances": _instances,
    "coloured instances": _coloured_instances, "rle": _rle, "relative rle": _relative, "several rows": _several_rows,
    "class rows": _class_rows, "features": _features, "collection": _collection, "bare rings": _bare_rings,
    "lines": _lines,
}  # fmt: skip


def say(competition: Callable[..., Data], way: str, **changes: object) -> Data:
    """The competition "masks" with its labels said in a way of `WAYS`."""
    data = competition("masks", ignore=None)
    source = Path(data.source)
    shutil.rmtree(source / "masks")
    return Data(**data.model_dump() | WAYS[way](source) | changes)

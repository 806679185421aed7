"""Every kind of problem that `ingest` finds in the input: how it is brought about, and what is said of it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import tifffile
from label_ways import SIZES, WAYS, box_mask, say, truth, write_png

from tessera.data.ingest import build_manifest
from tessera.errors import InputError
from tessera.params.data import Data

Competition = Callable[..., Data]


class Problem(NamedTuple):
    """`way` is one of `label_ways.WAYS`, or "volumes"; `said` a regular expression of the message."""

    way: str
    bring_about: Callable[[Path], object]
    said: str
    changes: dict = {}  # noqa: RUF012, never written to


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def line(path: Path, number: int, text: str) -> None:
    """Replaces a line of a file (1 is the first), or adds one."""
    lines = path.read_text().splitlines()
    lines[number - 1 : number] = [text]
    path.write_text("\n".join(lines) + "\n")


def remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def to_jpeg(source: Path) -> None:
    for path in sorted((source / "train").glob("*.png")):
        write_png(path.with_suffix(".jpg"), cv2.imread(str(path)))
    cut(source / "train/b.jpg")


def as_meta(source: Path, name: str) -> None:
    (source / "more.csv").write_text(f"id,{name}\na,1\nb,2\nc,3\nt,4\n")


def polygon(rings: str) -> Callable[[Path], object]:
    """Writes the polygons of image b (20 px wide, 33 px high)."""
    return lambda s: (s / "polygons/b.json").write_text(rings)


def slices(size: tuple[int, int], dtype: type) -> Callable[[Path], object]:
    return lambda s: tifffile.imwrite(s / "test/t/2.tif", np.zeros(size, dtype))


A_CLASS = {
    "task": "multilabel", "classes": ["vessel", "nerve"], "train_masks": "masks/{image_id}_{class}.png",
    "sample_submission": None,
}  # fmt: skip


def a_class(change: Callable[[Path], object]) -> Callable[[Path], object]:
    """Of each image the vessels have a file, and the nerves of a; then `change`."""

    def bring_about(source: Path) -> None:
        for name in "abc":
            (source / f"masks/{name}.png").rename(source / f"masks/{name}_vessel.png")
        write_png(source / "masks/a_nerve.png", truth("a"))
        change(source)

    return bring_about


VALID = {"valid_masks": "valid/{image_id}.png"}


def valid(source: Path, **changed: np.ndarray | None) -> None:
    for name in "abc":
        mask = changed.get(name, 1 + truth(name))
        if mask is not None:
            write_png(source / f"valid/{name}.png", mask)


IMAGES = {
    "truncated tiff": Problem("volumes", lambda s: cut(s / "train/a/2.tif"), r"train/a/2\.tif: is truncated"),
    "truncated png": Problem("grey", lambda s: cut(s / "train/a.png"), r"train/a\.png: is truncated"),
    "truncated jpeg": Problem("grey", to_jpeg, r"train/b\.jpg: is truncated", {"train_images": "train/{image_id}.jpg"}),
    "zero bytes": Problem("volumes", lambda s: (s / "test/t/10.tif").write_bytes(b""), r"test/t/10\.tif: is empty"),
    "zero bytes of a png": Problem("grey", lambda s: (s / "test/t.png").write_bytes(b""), r"test/t\.png: is empty"),
    "no image at all": Problem(
        "grey", lambda s: (s / "train/c.png").write_bytes(b"hello IEND"), r"train/c\.png: .*(decoded|no valid)",
    ),
    "slices of two sizes": Problem(
        "volumes", slices((9, 8), np.uint16),
        r"test/t/\{slice\}\.tif: the slices of a volume must be alike.*\(9, 8, 1\).*\(31, 37, 1\)",
    ),
    "slices of two types": Problem(
        "volumes", slices((31, 37), np.uint8), r"the slices of a volume must be alike.*uint8.*uint16",
    ),
    "images of two numbers of channels": Problem(
        "grey", lambda s: write_png(s / "train/c.png", truth("c")),
        r"train/c\.png: has 1 channels, train/a\.png has 3; set data\.channels to grey or rgb", {"channels": "all"},
    ),
    "an id in train and test": Problem(
        "volumes", lambda s: (s / "test/t").rename(s / "test/b"), r"id 'b' stands for two images: train/b.*test/b",
    ),
    "an empty folder": Problem("grey", lambda s: remove(s / "train"), r"no file matches 'train/\{image_id\}\.png'"),
    "no test image": Problem("grey", lambda s: remove(s / "test"), r"no file matches 'test/\{image_id\}\.png'"),
    "no folder": Problem("grey", lambda s: s.rename(s.with_name("away")), r"raw: no such folder"),
    "a slice away that has a label": Problem(
        "volumes", lambda s: (s / "train/b/2.tif").unlink(), r"train\.csv line 4: id 'b_2' has no image",
    ),
}  # fmt: skip
ROWS = {
    "odd": Problem("rle", lambda s: line(s / "train.csv", 2, "a,1 2 3"), r"train\.csv line 2 \(id a\): .*3 numbers"),
    "not numbers": Problem("rle", lambda s: line(s / "train.csv", 3, "b,1 x"), r"line 3 \(id b\): .*whole numbers.*'1 x'"),
    "length 0": Problem("rle", lambda s: line(s / "train.csv", 3, "b,1 0"), r"line 3 \(id b\): .*run 1 has length 0"),
    "unsorted": Problem("rle", lambda s: line(s / "train.csv", 3, "b,9 2 1 2"), r"line 3 .*run 2 starts at 1, before"),
    "overlapping": Problem("rle", lambda s: line(s / "train.csv", 3, "b,1 4 3 9"), r"line 3 .*run 2 starts at 3, before"),
    "out of range": Problem(
        "rle", lambda s: line(s / "train.csv", 4, "c,900 200"), r"line 4 \(id c\): .*outside a 40×24 image \(1…960\)",
    ),
    "beyond any image": Problem("rle", lambda s: line(s / "train.csv", 4, "c,9999999999999 1"), r"line 4 .*beyond any"),
    "a relative run out of range": Problem(
        "relative rle", lambda s: line(s / "train.csv", 4, "c.jpg,900 50 20 2"), r"line 4 \(id c\): .*covers pixels 900…971",
    ),
    "an empty cell where another token says empty": Problem(
        "relative rle", lambda s: line(s / "train.csv", 4, "c.jpg,"), r"line 4 \(id c\): the cell is empty.*'-1'.*rle_empty",
    ),
    "another token where an empty cell says empty": Problem(
        "rle", lambda s: line(s / "train.csv", 4, "c,-1"), r"line 4 \(id c\): RLE has 1 numbers",
    ),
    "a row without image": Problem("rle", lambda s: line(s / "train.csv", 5, "z,"), r"train\.csv line 5: id 'z' has no image"),
    "an image without row": Problem("rle", lambda s: line(s / "train.csv", 3, "a2,"), r"train\.csv: no row for id 'b'"),
    "a second row": Problem("rle", lambda s: line(s / "train.csv", 5, "b,"), r"line 5: id 'b' stands there a second time"),
    "the same row again": Problem(
        "several rows", lambda s: (s / "train.csv").write_text("id,rle\na,1 2\nb,\na,1 2\nc,\n"),
        r"line 4: id 'a' stands there a second time",
    ),
    "an empty row beside another": Problem(
        "several rows", lambda s: line(s / "train.csv", 6, "b,"), r"line 6: id 'b' has rows of an empty mask and of one",
    ),
    "a second row of a class": Problem(
        "class rows", lambda s: line(s / "train.csv", 8, "b,nerve,"), r"line 8: id 'b' class 'nerve' stands there a second",
    ),
    "an unknown class": Problem(
        "class rows", lambda s: line(s / "train.csv", 7, "c,vein,"),
        r"train\.csv line 7: class 'vein' is not known, data\.classes is vessel; say in data\.class_names",
    ),
    "no class": Problem("class rows", lambda s: line(s / "train.csv", 7, "c,,"), r"train\.csv line 7: class '' is not known"),
    "no class column": Problem(
        "class rows", lambda s: edit(s / "train.csv", "class", "kind"), r"no column 'class' \(data\.class_column\); its columns are id, kind, rle",
    ),
    "no id column": Problem("rle", lambda s: edit(s / "train.csv", "id", "name"), r"train\.csv: has no column 'id' \(data\.id\)"),
    "no rle column": Problem("rle", lambda s: edit(s / "train.csv", "rle", "mask"), r"no column 'rle' \(data\.rle_column\)"),
    "no csv": Problem("rle", lambda s: (s / "train.csv").unlink(), r"train\.csv: cannot be read"),
    "a csv of 0 bytes": Problem("rle", lambda s: (s / "train.csv").write_bytes(b""), r"train\.csv: cannot be read as a csv"),
    "a csv without rows": Problem("rle", lambda s: (s / "train.csv").write_text("id,rle\n"), r"has a header and no rows"),
    "a csv of ragged rows": Problem("rle", lambda s: line(s / "train.csv", 3, "b,1,2,3"), r"cannot be read as a csv.*line 3"),
    "a csv that is not UTF-8": Problem(
        "rle", lambda s: (s / "train.csv").write_bytes(b"id,rle\na,\nb\xe4,\n"), r"train\.csv line 3: .*it is not UTF-8",
    ),
}  # fmt: skip
MASKS = {
    "a mask of another size": Problem(
        "grey", lambda s: write_png(s / "masks/a.png", truth("c")), r"masks/a\.png: the mask is 40×24, its image 24×40",
    ),
    "a value that is not declared": Problem(
        "grey", lambda s: write_png(s / "masks/b.png", np.eye(33, 20, dtype=np.uint8) * 7),
        r"masks/b\.png: value 7 at row 0, column 0 \(20 such pixels\).*data\.positive 1 nor data\.ignore None",
    ),
    "a grey mask in colours": Problem(
        "grey", lambda s: write_png(s / "masks/b.png", truth("b")[..., None] * np.array([1, 2, 3], np.uint8)),
        r"masks/b\.png: a mask must be grey, this one has colours; data\.mask_kind",
    ),
    "an unknown colour": Problem(
        "colour",
        lambda s: write_png(s / "masks/a.png", box_mask("a", (3, 5, 4, 9))[..., None] * np.array([255, 0, 1], np.uint8)),
        r"masks/a\.png: colour #ff0001 at row 3, column 5 \(4 such pixels\) is not in data\.colours",
    ),
    "too many colours": Problem(
        "colour", lambda s: write_png(s / "masks/a.png", np.arange(2880, dtype=np.uint16).astype(np.uint8).reshape(24, 40, 3)),
        r"masks/a\.png: 253 further colours are not in data\.colours",
    ),
    "colours of 16 bits": Problem(
        "colour", lambda s: write_png(s / "masks/a.png", np.zeros((24, 40, 3), np.uint16)), r"masks/a\.png: is uint16; .*8-bit",
    ),
    "no mask": Problem("grey", lambda s: (s / "masks/c.png").unlink(), r"masks/c\.png: cannot be opened"),
    "none of several masks": Problem(
        "several masks", lambda s: (s / "masks/c_0.png").unlink(), r"masks/c_\*\.png: no file matches; the image has no label",
    ),
    "a mask without image": Problem(
        "grey", lambda s: write_png(s / "masks/stray.png", truth("a")), r"masks/stray\.png: this mask has no image",
    ),
    "one of several masks without image": Problem(
        "several masks", lambda s: write_png(s / "masks/z_9.png", truth("a")), r"masks/z_9\.png: this mask has no image",
    ),
    "a mask of two images": Problem(
        "several masks",
        lambda s: [(s / "train/c.png").rename(s / "train/a_0.png"), (s / "masks/a_0.png").rename(s / "masks/a_0_0.png")],
        r"masks/a_0_0\.png: this mask is that of a and of a_0; make the pattern 'masks/\{image_id\}_\*\.png' tell",
    ),
    "no mask of any class": Problem(
        "grey", a_class(lambda s: (s / "masks/b_vessel.png").unlink()),
        r"masks/b_\{class\}\.png: no file matches; the image has no label", A_CLASS,
    ),
    "a mask of an unknown class": Problem(
        "grey", a_class(lambda s: write_png(s / "masks/b_vein.png", truth("b"))),
        r"masks/b_vein\.png: this mask has no image, or its class is none of vessel, nerve \(data\.class_names\)", A_CLASS,
    ),
    "a mask of a class without image": Problem(
        "grey", a_class(lambda s: write_png(s / "masks/z_nerve.png", truth("b"))), r"masks/z_nerve\.png: this mask has no", A_CLASS,
    ),
    "a mask of a class of another size": Problem(
        "grey", a_class(lambda s: write_png(s / "masks/b_nerve.png", truth("a"))), r"b_nerve\.png: the mask is 24×40, its", A_CLASS,
    ),
    "a mask of two classes": Problem(
        "grey", a_class(lambda s: None), r"a_nerve\.png: this mask is that of a \(class ner\) and of a \(class nerve\); make",
        A_CLASS | {"class_names": {"ner": "nerve"}, "train_masks": "masks/{image_id}_{class}*.png"},
    ),
    "a mask of too many slices": Problem(
        "volumes", lambda s: tifffile.imwrite(s / "b.tif", np.zeros((3, *SIZES["b"]), np.uint8), photometric="minisblack"),
        r"b\.tif: holds 3 slices; one image is expected here, or the 2 of the volume",
        {"train_rle": None, "train_masks": "{image_id}.tif"},
    ),
    "a mask of several slices for each slice": Problem(
        "volumes", lambda s: tifffile.imwrite(s / "b_2.tif", np.zeros((2, *SIZES["b"]), np.uint8), photometric="minisblack"),
        r"b_2\.tif: holds 2 slices; one image is expected here: give", {"train_rle": None, "train_masks": "{image_id}_{slice}.tif"},
    ),
    "numbers in jpeg": Problem(
        "instances", lambda s: write_png(s / "masks/a.jpg", truth("a")), r"masks/a\.jpg: JPEG does not keep 0",
        {"train_masks": "masks/{image_id}.jpg"},
    ),
    "a truncated mask": Problem("instances", lambda s: cut(s / "masks/a.png"), r"masks/a\.png: is truncated"),
    "a valid area without image": Problem(
        "grey", lambda s: (valid(s), write_png(s / "valid/z.png", truth("b"))),
        r"valid/z\.png: this valid mask has no image", VALID,
    ),
    "no valid area": Problem("grey", lambda s: valid(s, b=None), r"valid/b\.png: cannot be opened", VALID),
    "a valid area of another size": Problem(
        "grey", lambda s: valid(s, b=truth("a")), r"valid/b\.png: the mask is 24×40, its image 33×20", VALID,
    ),
    "an empty valid area": Problem(
        "grey", lambda s: valid(s, b=0 * truth("b")), r"valid/b\.png: the valid area .*is empty", VALID,
    ),
}  # fmt: skip
POLYGONS = {
    "invalid json": Problem("features", polygon("[[\n"), r"polygons/b\.json line 2: is no valid JSON"),
    "json of something else": Problem("features", polygon('{"a": 1}'), r"b\.json: must hold a list of polygons.*'a': 1"),
    "json that is not UTF-8": Problem(
        "features", lambda s: (s / "polygons/b.json").write_bytes(b'["\xe4"]'), r"b\.json: is no UTF-8 at byte 2",
    ),
    "no polygon file": Problem("features", lambda s: (s / "polygons/b.json").unlink(), r"b\.json: cannot be opened"),
    "polygons without image": Problem(
        "features", lambda s: (s / "polygons/z.json").write_text("[]"), r"z\.json: this polygon file has no image",
    ),
    "2 points": Problem(
        "bare rings", polygon("[[[1, 1], [2, 2], [1, 1]]]"), r"b\.json polygon 1: a ring has 2 different points",
    ),
    "a point outside": Problem(
        "bare rings", polygon("[[[1, 1], [9, 9], [9, 1]], [[1, 1], [1, 9], [21, 9]]]"),
        r"b\.json polygon 2: point 3 \(21, 9\) and 0 more lie outside the image \(x 0…20, y 0…33\)",
    ),
    "points that are no numbers": Problem(
        "bare rings", polygon('[[["x", 1], [2, 2], [3, 1]]]'), r"b\.json polygon 1: a ring must be a list of \[x, y\]",
    ),
    "points that are not finite": Problem(
        "bare rings", polygon("[[[NaN, 1], [2, 2], [3, 1]]]"), r"b\.json polygon 1: a ring must be a list of \[x, y\]",
    ),
    "a ring too deep": Problem("lines", lambda s: line(s / "polygons.jsonl", 2, (
        '{"id": "b", "annotations": [{"type": "vessel", "coordinates": [[[[1, 1], [2, 2], [3, 1]]]]}]}')
    ), r"polygons\.jsonl line 2 \(id b\) polygon 1: a ring must be a list"),
    "a geometry without area": Problem(
        "features", polygon('[{"geometry": {"type": "Point", "coordinates": [1, 2]}}]'), r"polygon 1: .*'Point' has no area",
    ),
    "no geometry": Problem("features", polygon('[{"type": "Feature", "geometry": null}]'), r"polygon 1: has no geometry"),
    "no rings": Problem("features", polygon('[{"type": "vessel", "coordinates": []}]'), r"polygon 1: .*a list of rings"),
    "a polygon of an unknown class": Problem(
        "features", lambda s: edit(s / "polygons/a.json", "Vessel", "Nerve"), r"a\.json polygon 1: class 'Nerve' is not known",
    ),
    "no class among several": Problem(
        "bare rings", lambda s: None, r"polygons/a\.json polygon 1: names no class, data\.classes is vessel, nerve; give each",
        {"task": "multilabel", "classes": ["vessel", "nerve"], "sample_submission": None},
    ),
    "a line without id": Problem("lines", lambda s: line(s / "polygons.jsonl", 3, "{}"), r"line 3: has no 'id'"),
    "no line of an image": Problem("lines", lambda s: line(s / "polygons.jsonl", 3, "{}"), r"jsonl: no line for id 'c'"),
    "a line without image": Problem(
        "lines", lambda s: line(s / "polygons.jsonl", 4, '{"id": "z", "annotations": []}'), r"line 4 \(id z\): .*has no image",
    ),
    "a second line": Problem(
        "lines", lambda s: line(s / "polygons.jsonl", 4, '{"id": "b", "annotations": []}'), r"line 4: id 'b' stands there a sec",
    ),
}  # fmt: skip
META = {
    "no group": Problem("grey", lambda s: edit(s / "meta.csv", "p_b", ""), r"meta\.csv line 3: image 'b' has no patient \(data\.group"),
    "a group that is NaN": Problem("grey", lambda s: edit(s / "meta.csv", "p_b", "NaN"), r"line 3: image 'b' has no patient.*'NaN'"),
    "no stratum": Problem("grey", lambda s: edit(s / "meta.csv", "liver", ""), r"line 3: image 'b' has no organ \(data\.stratum"),
    "no meta row": Problem("grey", lambda s: line(s / "meta.csv", 4, "z,z,z"), r"meta\.csv: no row for image 'c' \(train/c"),
    "two meta rows": Problem("grey", lambda s: line(s / "meta.csv", 6, "b,x,y"), r"meta\.csv line 6: id 'b' has a second row"),
    "no group column": Problem(
        "grey", lambda s: as_meta(s, "age"), r"no column 'hospital' \(data\.group\); there are id, patient, organ, age",
        {"meta": ["meta.csv", "more.csv"], "group": "hospital"},
    ),
    "no meta csv": Problem("grey", lambda s: (s / "meta.csv").unlink(), r"meta\.csv: cannot be read"),
    "no id column in meta": Problem("grey", lambda s: edit(s / "meta.csv", "id", "image"), r"meta\.csv: has no column 'id' \(data\.id\)"),
    "a test image that is not asked for": Problem(
        "grey", lambda s: line(s / "sample.csv", 2, ""), r"sample\.csv: test image or slice 't' has no row",
    ),
    "an id asked for without test image": Problem(
        "grey", lambda s: line(s / "sample.csv", 3, "u,"), r"sample\.csv line 3: id 'u' has no test image",
    ),
    "asked for twice": Problem("grey", lambda s: line(s / "sample.csv", 3, "t,"), r"sample\.csv line 3: id 't' has two rows"),
    "no sample submission": Problem("grey", lambda s: (s / "sample.csv").unlink(), r"sample\.csv: cannot be read"),
}  # fmt: skip
PROBLEMS = {**IMAGES, **ROWS, **MASKS, **POLYGONS, **META}


def listed(data: Data) -> str:
    """What ingest says of the input."""
    with pytest.raises(InputError) as error:
        build_manifest(data)
    return str(error.value)


def prepare(competition: Competition, way: str, changes: dict) -> Data:
    return competition("volumes", **changes) if way == "volumes" else say(competition, way, **changes)


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_is_named_with_its_place(competition: Competition, name: str) -> None:
    way, bring_about, said, changes = PROBLEMS[name]
    data = prepare(competition, way, changes)
    bring_about(Path(data.source))
    message = listed(data)
    assert re.search(said, message), message


def test_there_are_many_kinds() -> None:
    assert len(PROBLEMS) == len(IMAGES) + len(ROWS) + len(MASKS) + len(POLYGONS) + len(META)
    assert len({problem.said for problem in PROBLEMS.values()}) >= 80
    assert {problem.way for problem in PROBLEMS.values()} <= {"volumes", *WAYS}


@pytest.mark.parametrize(
    "names",
    [
        (
            "zero bytes of a png",
            "odd",
            "overlapping",
            "out of range",
            "a row without image",
            "no stratum",
            "asked for twice",
        ),
        ("an unknown class", "a second row of a class", "a group that is NaN", "no sample submission"),
        ("none of several masks", "one of several masks without image", "truncated png", "no group"),
        ("a geometry without area", "a polygon of an unknown class", "polygons without image", "no stratum"),
        ("an unknown colour", "no mask", "a mask without image", "no meta row"),
    ],
    ids=["rows", "classes", "masks", "polygons", "colours"],
)
def test_several_at_once_are_all_listed(competition: Competition, names: tuple[str, ...]) -> None:
    data = prepare(competition, next(p.way for p in map(PROBLEMS.get, names) if p.way != "grey"), {})
    for name in names:
        PROBLEMS[name].bring_about(Path(data.source))
    message = listed(data)
    assert f"{len(names)} problem(s)" in message
    assert [name for name in names if re.search(PROBLEMS[name].said, message)] == list(names)


@pytest.mark.parametrize(
    "wrong", [lambda s: write_png(s / "masks/b.png", truth("a")), lambda s: (s / "masks/b.png").unlink()]
)
def test_a_mask_and_its_valid_area_are_both_named(competition: Competition, wrong: Callable[[Path], object]) -> None:
    data = say(competition, "grey", **VALID)
    valid(Path(data.source), b=0 * truth("b"))
    wrong(Path(data.source))
    message = listed(data)
    assert "2 problem(s)" in message
    assert re.search(r"masks/b\.png: ", message)
    assert re.search(r"valid/b\.png: the valid area .*is empty", message)

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from label_ways import BOXES, SIZES, WAYS, box_mask, read_label, say, truth, write_png
from PIL import Image

from tessera.data.ingest import build_manifest
from tessera.data.labelling import READING, Labels
from tessera.data.layout import find_items
from tessera.errors import InputError
from tessera.labels import RleForm
from tessera.params.data import Data

Competition = Callable[..., Data]
SLICES = ("2", "10")  # of the competition "volumes"


@pytest.mark.parametrize("way", WAYS)
def test_one_truth_is_read_from_every_way_to_say_it(competition: Competition, way: str) -> None:
    data = say(competition, way)
    assert build_manifest(data).image_id.tolist() == ["a", "b", "c", "t"]
    labels = Labels.open(data, [])
    for name in BOXES:
        np.testing.assert_array_equal(read_label(labels, name), truth(name))


def test_ignored_wins_over_what_other_files_and_rows_say(competition: Competition) -> None:
    data = say(competition, "several masks", ignore=7)
    write_png(Path(data.source) / "masks/b_1.png", box_mask("b", (0, 0, 3, 3)) * 7)
    expected = truth("b")
    expected[:3, :3] = 255
    np.testing.assert_array_equal(read_label(Labels.open(data, []), "b"), expected)


@pytest.mark.parametrize("ending", ["", "*"])
def test_brackets_in_a_pattern_are_brackets(competition: Competition, ending: str) -> None:
    data = say(competition, "grey", train_masks=f"masks [v1]/{{image_id}}{ending}.png")
    folder = Path(data.source) / "masks [v1]"
    (Path(data.source) / "masks").rename(folder)
    np.testing.assert_array_equal(read_label(Labels.open(data, []), "b"), truth("b"))
    write_png(folder / "stray.png", truth("a"))
    with pytest.raises(InputError, match=r"stray\.png: this mask has no image"):
        build_manifest(data)


def test_a_grey_mask_may_have_alpha(competition: Competition) -> None:
    data = say(competition, "grey")
    grey = Image.fromarray(truth("b"))
    Image.merge("LA", [grey, Image.new("L", grey.size, 255)]).save(Path(data.source) / "masks/b.png")
    np.testing.assert_array_equal(read_label(Labels.open(data, []), "b"), truth("b"))


@pytest.mark.parametrize("way", ["class rows", "lines"])
def test_a_class_may_mean_ignore(competition: Competition, way: str) -> None:
    data = say(competition, way)
    data = data.model_copy(update={"class_names": data.class_names | {"nerve": "ignore"}})
    label = read_label(Labels.open(data, []), "b")
    assert set(np.unique(label)) == {1, 255} | ({0} if way == "lines" else set())
    assert (label[0, -1], label[1, 5]) == ((1, 1) if way == "class rows" else (255, 255))


@pytest.mark.parametrize("way", ["class rows", "lines"])
def test_classes_that_overlap_have_planes_of_their_own(competition: Competition, way: str) -> None:
    data = say(competition, way)
    data = data.model_copy(update={"classes": ["vessel", "nerve"], "class_names": {"Large vessel": "vessel"}})
    vessel, nerve = np.moveaxis(read_label(Labels.open(data, []), "b"), 2, 0)
    np.testing.assert_array_equal(vessel, truth("b"))
    if way == "class rows":
        np.testing.assert_array_equal(nerve, 1 - vessel)
    else:
        assert nerve[0, 0] == nerve[0, 19] == nerve[19, 19] == 1
        assert (nerve & vessel).any()


def test_one_label_counts_for_all_slices_and_is_read_once(
    competition: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = competition("volumes", train_rle=None, train_masks="labels/{image_id}.png")
    for name in BOXES:
        write_png(Path(data.source) / f"labels/{name}.png", truth(name))
    assert build_manifest(data).label.tolist() == ["labels/a.png", "labels/b.png", "labels/c.png", ""]
    labels = Labels.open(data, [])
    np.testing.assert_array_equal(read_label(labels, "a", 0, SLICES), truth("a"))
    monkeypatch.setattr(labels.annotations, "bands", None)
    np.testing.assert_array_equal(read_label(labels, "a", 1, SLICES), truth("a"))


def test_a_wrong_label_of_a_volume_is_one_problem(competition: Competition) -> None:
    data = competition("volumes", train_rle=None, train_masks="labels/{image_id}.png")
    for name in BOXES:
        write_png(Path(data.source) / f"labels/{name}.png", truth(name) * (9 if name == "b" else 1))
    with pytest.raises(InputError, match=r"1 problem\(s\)\n.*labels/b\.png: value 9"):
        build_manifest(data)


@pytest.mark.parametrize("pattern", ["valid/{image_id}.png", "valid/{image_id}_{slice}.png"])
def test_outside_the_valid_area_labels_are_ignored(competition: Competition, pattern: str) -> None:
    data = competition("volumes", valid_masks=pattern)
    expected = {}
    for number, name in enumerate(SLICES):
        mask = np.zeros(SIZES["b"], np.uint8)
        mask[5 + number :] = 255
        write_png(Path(data.source) / pattern.format(image_id="b", slice=name), mask)
        expected[name] = mask
    labels, plain = Labels.open(data, []), Labels.open(data.model_copy(update={"valid_masks": None}), [])
    for z, name in enumerate(SLICES):
        valid = expected[name if "{slice}" in pattern else "10"] > 0
        whole = read_label(plain, "b", z, SLICES)
        np.testing.assert_array_equal(read_label(labels, "b", z, SLICES), np.where(valid, whole, 255))


def test_a_test_image_may_have_a_valid_area(competition: Competition) -> None:
    data = say(competition, "grey", valid_masks="valid/{image_id}.png")
    for name in (*BOXES, "t"):
        write_png(Path(data.source) / f"valid/{name}.png", 1 + truth(name if name in BOXES else "a"))
    assert build_manifest(data).image_id.tolist() == ["a", "b", "c", "t"]


def test_holes_are_outside(competition: Competition) -> None:
    data = say(competition, "bare rings")
    outer, hole = [[1, 1], [18, 1], [18, 18], [1, 18]], [[5, 5], [15, 5], [15, 15], [5, 15]]
    path = Path(data.source) / "polygons/b.json"
    path.write_text(f'[{{"type": "Polygon", "coordinates": [{outer}, {hole}]}}]')
    label = read_label(Labels.open(data, []), "b")
    expected = np.zeros(SIZES["b"], np.uint8)
    expected[1:19, 1:19] = 1
    expected[6:15, 6:15] = 0  # the boundary of the hole is filled, as every boundary
    np.testing.assert_array_equal(label, expected)


@pytest.mark.parametrize(
    "document",
    [
        "3", "[3]", "[null]", "{}", '{"features": {}}', '[{"coordinates": 3}]', '[{"type": [], "coordinates": [[]]}]',
        '[{"geometry": {"type": "Polygon", "coordinates": [[[1, 1]]]}, "properties": []}]',
    ],
)  # fmt: skip
def test_any_json_is_read_or_refused(competition: Competition, document: str) -> None:
    data = say(competition, "features")
    path = Path(data.source) / "polygons/b.json"
    path.write_text(document)
    with pytest.raises(InputError, match=r"polygons/b\.json"):
        read_label(Labels.open(data, []), "b")


def test_names_with_pattern_characters_are_names(competition: Competition) -> None:
    data = say(competition, "several masks")
    source = Path(data.source)
    (source / "train/a.png").rename(source / "train/a[1].png")
    for number in (0, 1):
        (source / f"masks/a_{number}.png").rename(source / f"masks/a[1]_{number}.png")
    labels = Labels.open(data, [])
    np.testing.assert_array_equal(read_label(labels, "a[1]"), truth("a"))
    assert labels.strangers(find_items(source, data.train_images), []) == []


def test_what_decides_how_labels_are_read_is_known_to_the_pixel_store() -> None:
    other = {
        "source", "task", "channels", "train_images", "test_images", "meta", "group", "stratum", "domain",
        "sample_submission", "solution", "level", "pixel_size", "flip_pairs",
    }  # fmt: skip
    assert set(Data.model_fields) - other == READING


def test_a_wrong_row_does_not_hide_the_next_one(competition: Competition) -> None:
    data = say(competition, "several rows")
    path = Path(data.source) / "train.csv"
    path.write_text(f"id,rle\na,1 2 3\na,{RleForm().encode(truth('a'))}\na,9999 1\nb,\nc,\n")
    with pytest.raises(InputError) as error:
        read_label(Labels.open(data, []), "a")
    assert [problem.split(" (id")[0].split(" line ")[1] for problem in error.value.args] == ["2", "4"]

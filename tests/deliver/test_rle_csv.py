from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from tessera import rle
from tessera.data.csv_names import CsvNames
from tessera.deliver.dialects.build import DIALECTS, build_dialect
from tessera.errors import InputError
from tessera.labels import read_csv
from tessera.params.submit import BY_CLASS, Submit


def _masks() -> dict[str, np.ndarray]:
    """Noise, empty, full and a corner; none is square."""
    rng = np.random.default_rng(0)
    corner = np.zeros((1, 3, 8), bool)
    corner[0, -1, -1] = True
    return {
        "b": rng.random((1, 7, 5)) < 0.5,
        "a": np.zeros((1, 4, 6), bool),
        "10": np.ones((1, 6, 4), bool),
        "2": corner,
    }


hubmap = build_dialect("hubmap", ["a"])
MASKS = _masks()
SHAPES = {name: mask.shape[1:] for name, mask in MASKS.items()}
TEMPLATE = pd.DataFrame({"id": list(MASKS), "rle": ""})


@pytest.fixture
def written(tmp_path: Path) -> Path:
    hubmap.write(tmp_path / "submission.csv", ["id", "rle"], MASKS.items())
    return tmp_path / "submission.csv"


def test_what_is_written_is_read_back_in_order(written: Path) -> None:
    found = list(hubmap.read(written, SHAPES))
    assert [name for name, _ in found] == list(MASKS)
    for name, mask in found:
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, MASKS[name])


def test_rows_are_column_major_and_one_based_and_empty_masks_empty_cells(written: Path) -> None:
    lines = written.read_bytes().decode().split("\n")
    assert lines == ["id,rle", f"b,{rle.encode(MASKS['b'][0])}", "a,", "10,1 24", "2,24 1", ""]


def test_written_twice_the_bytes_are_the_same(written: Path, tmp_path: Path) -> None:
    hubmap.write(tmp_path / "again.csv", ["id", "rle"], MASKS.items())
    assert (tmp_path / "again.csv").read_bytes() == written.read_bytes()


def test_the_columns_may_have_any_name(tmp_path: Path) -> None:
    dialect = build_dialect("hubmap", ["a"], CsvNames("image"))
    dialect.write(tmp_path / "s.csv", ["image", "predicted"], MASKS.items())
    assert dialect.validate(tmp_path / "s.csv", TEMPLATE.set_axis(["image", "predicted"], axis=1), SHAPES) == []
    assert dialect.columns == ["image", "rle"]


def test_a_good_submission_has_no_problems(written: Path) -> None:
    assert hubmap.validate(written, TEMPLATE, SHAPES) == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["id,mask", "b,", "a,", "10,", "2,"], ["['id', 'mask']", "['id', 'rle']"]),
        (["id,rle", "b,", "a,", "10,"], ["'2' is missing"]),
        (["id,rle", "b,", "a,", "10,", "2,", "3,"], ["'3' is not asked for"]),
        (["id,rle", "b,", "a,", "10,", "2,", "a,"], ["'a' has two rows"]),
        (["id,rle", "b,", "10,", "a,", "2,"], ["order differs", "row 2", "'10', not id 'a'"]),
        (["id,rle", "b,", "a,1 2 3", "10,", "2,"], ["line 3 (id a)", "3 numbers"]),
        (["id,rle", "b,", "a,", "10,20 6", "2,"], ["line 4 (id 10)", "outside a 6×4 image"]),
    ],
)
def test_all_that_would_be_refused_is_found(tmp_path: Path, lines: list[str], said: list[str]) -> None:
    (tmp_path / "s.csv").write_text("\n".join(lines) + "\n")
    (problem,) = hubmap.validate(tmp_path / "s.csv", TEMPLATE, SHAPES)
    for piece in said:
        assert piece in problem


def test_a_row_of_an_unknown_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("id,rle\nb,\nother,1 1\n")
    with pytest.raises(InputError, match=r"s\.csv line 3.*other"):
        list(hubmap.read(tmp_path / "s.csv", SHAPES))


def test_an_unknown_dialect_lists_the_known_ones() -> None:
    assert all(build_dialect(name, ["a"]) for name in DIALECTS)
    with pytest.raises(InputError, match=r"submit\.dialect 'kaggle' is not known; there are hubmap"):
        build_dialect("kaggle", ["a"])


def test_params_know_every_dialect() -> None:
    assert list(DIALECTS) == list(BY_CLASS) == list(get_args(Submit.model_fields["dialect"].annotation))
    assert {name: build_dialect(name, ["a"]).by_class for name in DIALECTS} == BY_CLASS


@pytest.mark.parametrize("name", list(DIALECTS))
def test_every_dialect_reads_what_it_writes(tmp_path: Path, name: str) -> None:
    dialect = build_dialect(name, ["a"])
    dialect.write(tmp_path / "s.csv", dialect.columns, MASKS.items())
    for row_id, mask in dialect.read(tmp_path / "s.csv", SHAPES):
        np.testing.assert_array_equal(mask, MASKS[row_id])
    template = read_csv(tmp_path / "s.csv")
    assert dialect.validate(tmp_path / "s.csv", template, SHAPES) == []


# A row a class (UW-Madison): row-major

CLASSES = ["stomach", "bowel"]
PLANES = {"x_1": np.array([[[0, 1, 1], [0, 0, 0]], [[0, 0, 1], [1, 0, 0]]], bool), "x_0": np.zeros((2, 2, 3), bool)}
LINES = ["id,class,rle", "x_1,stomach,2 2", "x_1,bowel,3 2", "x_0,stomach,", "x_0,bowel,"]


def test_classes_have_rows_of_their_own(tmp_path: Path) -> None:
    dialect = build_dialect("uwmadison", CLASSES)
    dialect.write(tmp_path / "s.csv", dialect.columns, PLANES.items())
    assert (tmp_path / "s.csv").read_text().splitlines() == LINES
    for row_id, mask in dialect.read(tmp_path / "s.csv", dict.fromkeys(PLANES, (2, 3))):
        np.testing.assert_array_equal(mask, PLANES[row_id])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (LINES, []),
        (LINES[:-1], ["id 'x_0' class 'bowel' is missing"]),
        ([*LINES, LINES[-1]], ["id 'x_0' class 'bowel' has two rows"]),
        ([LINES[0], *LINES[1:][::-1]], ["order differs", "row 1", "id 'x_0' class 'bowel', not id 'x_1' class 'stomach'"]),
        ([*LINES[:2], "x_1,bowel,3", *LINES[3:]], ["line 3 (id x_1)", "even count"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_rows_of_classes_is_found(tmp_path: Path, lines: list[str], said: list[str]) -> None:
    (tmp_path / "s.csv").write_text("\n".join(lines) + "\n")
    rows = [line.split(",") for line in LINES[1:]]
    template = pd.DataFrame(rows, columns=LINES[0].split(",")).assign(rle="")
    found = build_dialect("uwmadison", CLASSES).validate(tmp_path / "s.csv", template, dict.fromkeys(PLANES, (2, 3)))
    assert len(found) == bool(said)
    assert all(piece in found[0] for piece in said)


def test_a_class_that_lacks_is_named_in_reading(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("\n".join(LINES[:-1]) + "\n")
    with pytest.raises(InputError, match=r"id 'x_0' has the classes \['stomach'\]"):
        list(build_dialect("uwmadison", CLASSES).read(tmp_path / "s.csv", dict.fromkeys(PLANES, (2, 3))))


def test_several_classes_need_a_dialect_that_names_them() -> None:
    with pytest.raises(InputError, match=r"one mask a row.*stomach, bowel; use uwmadison"):
        build_dialect("hubmap", CLASSES)


@pytest.mark.parametrize(("placeholder", "refused"), [("", False), ("1 1", False), ("-1", True), ("0 0 0", True)])
def test_a_sample_submission_that_says_empty_in_another_way_is_refused(
    written: Path, placeholder: str, refused: bool
) -> None:
    problems = hubmap.validate(written, TEMPLATE.assign(rle=placeholder), SHAPES)
    assert bool(problems) == refused


# A sample submission has columns of its own

NAMES = CsvNames("image_id", "class", "mask", {"Large bowel": "bowel", "bowel": "bowel", "stomach": "stomach"})
WIDE = pd.DataFrame({"mask": "", "image_id": list(MASKS), "height": ["7", "4", '6, "or so"', ""]})


def test_the_sample_submissions_other_columns_stay_as_they_are(tmp_path: Path) -> None:
    dialect = build_dialect("hubmap", ["a"], NAMES)
    dialect.fill(tmp_path / "s.csv", WIDE, MASKS.items())
    found = read_csv(tmp_path / "s.csv")
    pd.testing.assert_frame_equal(found.assign(mask=""), WIDE, check_dtype=False)
    assert found["mask"].tolist() == [rle.encode(mask[0]) for mask in MASKS.values()]
    for name, mask in dialect.read(tmp_path / "s.csv", SHAPES):
        np.testing.assert_array_equal(mask, MASKS[name])
    assert dialect.validate(tmp_path / "s.csv", WIDE, SHAPES) == []
    (said,) = dialect.validate(tmp_path / "s.csv", WIDE.assign(height="1"), SHAPES)
    assert "'height' is not as the sample submission has it" in said


def test_a_csv_that_names_no_column_of_the_rle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    WIDE.rename(columns={"mask": "predicted"}).to_csv(path, index=False)
    with pytest.raises(
        InputError, match=r"s\.csv: has no column 'mask' \(data\.rle_column\); .* predicted, image_id, height"
    ):
        list(build_dialect("hubmap", ["a"], NAMES).read(path, SHAPES))


def test_a_solution_with_further_columns_is_read(tmp_path: Path) -> None:
    lines = ["Usage,image_id,mask,class", "Public,x_1,2 2,stomach", "Private,x_1,3 2,Large bowel"]
    (tmp_path / "s.csv").write_text("\n".join(lines) + "\n")
    ((name, mask),) = build_dialect("uwmadison", CLASSES, NAMES).read(tmp_path / "s.csv", {"x_1": (2, 3)})
    np.testing.assert_array_equal(mask, PLANES[name])


def test_two_rows_of_one_mask_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("id,rle\nb,1 1\nb,\n")
    with pytest.raises(InputError, match=r"s\.csv line 3: id 'b' has two rows"):
        list(hubmap.read(tmp_path / "s.csv", SHAPES))


@pytest.mark.parametrize("by", [["image_id", "class"], ["class", "image_id"], ["level"]])
def test_rows_and_classes_stand_and_are_called_as_in_the_sample_submission(tmp_path: Path, by: list[str]) -> None:
    rows = [("x_0", "Large bowel", 3), ("x_0", "stomach", 0), ("x_1", "Large bowel", 1), ("x_1", "stomach", 2)]
    template = pd.DataFrame(rows, columns=["image_id", "class", "level"]).sort_values(by).astype(str).assign(mask="")
    dialect = build_dialect("uwmadison", CLASSES, NAMES)
    masks = {name: PLANES[name] for name in template.image_id.unique()}
    dialect.fill(tmp_path / "s.csv", template, masks.items())
    found = read_csv(tmp_path / "s.csv")
    assert found.to_numpy()[:, :3].tolist() == template.to_numpy()[:, :3].tolist()
    expected = {"0": "", "1": "3 2", "2": "2 2", "3": ""}
    assert found["mask"].tolist() == [expected[level] for level in template.level]
    assert dialect.validate(tmp_path / "s.csv", template, dict.fromkeys(PLANES, (2, 3))) == []

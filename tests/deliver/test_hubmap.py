from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera import rle
from tessera.deliver.dialects import hubmap
from tessera.deliver.dialects.build import DIALECTS, build_dialect
from tessera.errors import InputError


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


def test_the_second_column_may_have_any_name(tmp_path: Path) -> None:
    hubmap.write(tmp_path / "s.csv", ["image", "predicted"], MASKS.items())
    assert hubmap.validate(tmp_path / "s.csv", TEMPLATE.set_axis(["image", "predicted"], axis=1), SHAPES) == []


def test_a_good_submission_has_no_problems(written: Path) -> None:
    assert hubmap.validate(written, TEMPLATE, SHAPES) == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["id,mask", "b,", "a,", "10,", "2,"], ["['id', 'mask']", "['id', 'rle']"]),
        (["id,rle", "b,", "a,", "10,"], ["'2' is missing"]),
        (["id,rle", "b,", "a,", "10,", "2,", "3,"], ["'3' is not asked for"]),
        (["id,rle", "b,", "a,", "10,", "2,", "a,"], ["'a' has two rows"]),
        (["id,rle", "b,", "10,", "a,", "2,"], ["order differs", "row 2", "'10', not 'a'"]),
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
    assert {build_dialect(name) for name in DIALECTS} == set(DIALECTS.values())
    with pytest.raises(InputError, match=r"submit\.dialect 'kaggle' is not known; there are hubmap"):
        build_dialect("kaggle")


@pytest.mark.parametrize(("placeholder", "refused"), [("", False), ("1 1", False), ("-1", True), ("0 0 0", True)])
def test_a_sample_submission_that_says_empty_in_another_way_is_refused(
    written: Path, placeholder: str, refused: bool
) -> None:
    problems = hubmap.validate(written, TEMPLATE.assign(rle=placeholder), SHAPES)
    assert bool(problems) == refused

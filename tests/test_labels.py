from pathlib import Path

import numpy as np
import pytest
from samples import masks

from tessera import rle
from tessera.errors import InputError
from tessera.labels import RleForm, read_csv, read_rle_table


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_cells_are_text_and_missing_ones_empty(tmp_path: Path) -> None:
    table = read_csv(_write(tmp_path / "t.csv", "id,rle,note\n007,,NA\n8,1 2,\n"), "id", "rle")
    assert table.to_numpy().tolist() == [["007", "", "NA"], ["8", "1 2", ""]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read as a csv"),
        (b'id,rle\n"a,1 2\n', "cannot be read as a csv"),
        (b"id,rle\na,b,c,d\ne,f,g,h,i\n", "cannot be read as a csv"),
        (b"id,rle\na,1 2,\nb,,\n", "line 2: has more cells than the header has names, id, rle"),
        (b"id,rle\n\xff\xfe\xfa,1\n", "bad.csv line 2: cannot be read as a csv, it is not UTF-8"),
        (b"image,mask\na,1 2\n", "has no column 'id'; its columns are image, mask"),
    ],
    ids=["empty", "open quote", "ragged", "shifted", "binary", "other columns"],
)
def test_a_bad_csv_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.csv") as error:
        read_csv(path, "id", "rle")
    assert said in str(error.value)


def test_a_missing_column_is_named_with_the_key_that_says_it(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", "id,mask\na,1 2\n")
    with pytest.raises(InputError, match=r"no column 'rle' \(data\.rle_column\); its columns are id, mask"):
        read_rle_table(path, "id", "rle", RleForm())
    with pytest.raises(InputError, match=r"no column 'image' \(data\.id\)"):
        read_csv(path, "mask", id="image")


def test_a_missing_csv_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.csv: cannot be read"):
        read_csv(tmp_path / "gone.csv")


def test_rows_decode_by_id_and_an_empty_cell_is_an_empty_mask(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", "id,other,rle\na,x,1 2\nb,y,\n")
    for order, base, said in (
        ("column", 1, [[1, 0], [1, 0]]),
        ("row", 1, [[1, 1], [0, 0]]),
        ("row", 0, [[0, 1], [1, 0]]),
    ):
        table = read_rle_table(path, "id", "rle", RleForm(order, base))
        np.testing.assert_array_equal(table.read_runs(table.rows["a"][0], (2, 2)).rows(0, 2), said)
        assert not table.read_runs(table.rows["b"][0], (2, 2)).rows(0, 2).any()


def test_a_wrong_row_is_named_by_file_line_and_id(tmp_path: Path) -> None:
    table = read_rle_table(_write(tmp_path / "t.csv", "id,rle\na,1 1\nb,1 1 1\n"), "id", "rle", RleForm())
    with pytest.raises(InputError, match=r"t\.csv line 3 \(id b\): RLE has 3 numbers"):
        table.read_runs(table.rows["b"][0], (2, 2))


def test_empty_lines_count_as_lines_and_are_no_rows(tmp_path: Path) -> None:
    table = read_rle_table(_write(tmp_path / "t.csv", "id,rle\n\na,1 1\n\n,\nb,1\n\n"), "id", "rle", RleForm())
    assert [row.line for rows in table.rows.values() for row in rows] == [3, 6]


def test_classes_and_file_name_ids(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", "id,class,rle\na.jpg,x,1 1\na.jpg,y,\nb.jpg,x,2 1\n")
    table = read_rle_table(path, "id", "rle", RleForm(), "class", ".jpg")
    assert {name: [row.class_name for row in rows] for name, rows in table.rows.items()} == {
        "a": ["x", "y"],
        "b": ["x"],
    }
    assert table.repeated(several=False) == []


@pytest.mark.parametrize(
    ("rows", "several", "said"),
    [
        ("a,1 1\nb,\na,3 1\n", False, ["t.csv line 4: id 'a' stands there a second time"]),
        ("a,1 1\nb,\na,3 1\n", True, []),
        ("a,1 1\na,3 1\na,1 1\n", True, ["t.csv line 4: id 'a' stands there a second time"]),
        ("a,1 1\na,\n", True, ["t.csv line 3: id 'a' has rows of an empty mask and of one that is not"]),
        ("a,\na,1 1\n", True, ["t.csv line 3: id 'a' has rows of an empty mask and of one that is not"]),
    ],
)
def test_a_second_row_of_an_id(tmp_path: Path, rows: str, several: bool, said: list[str]) -> None:
    table = read_rle_table(_write(tmp_path / "t.csv", f"id,rle\n{rows}"), "id", "rle", RleForm())
    problems = table.repeated(several)
    assert [problem.removeprefix(f"{tmp_path}/") for problem in problems] == said


FORMS = [
    RleForm(order, base, relative, empty)
    for order in ("column", "row")
    for base in (0, 1)
    for relative in (False, True)
    for empty in (("",), ("-1",), ("1 0", ""), ("NaN", "nan"), ("1 1",))
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, form)))
def test_every_form_reads_what_it_writes(form: RleForm) -> None:
    for mask in masks():
        try:
            text = form.encode(mask)
        except InputError:  # the one mask that a form with such an empty token has no text for
            assert rle.encode(mask, form.order, form.base) in form.empty
            continue
        np.testing.assert_array_equal(form.decode(text, mask.shape), mask)
        assert (text in form.empty) == (not mask.any())


def test_each_empty_token_is_an_empty_mask_and_no_other() -> None:
    form = RleForm(empty=("-1", "NaN"))
    assert form.encode(np.zeros((2, 2))) == "-1"
    for text in ("-1", "NaN", " -1 "):
        assert not form.decode(text, (2, 2)).any()
    with pytest.raises(
        InputError, match=r"the cell is empty, an empty mask is said '-1' or 'NaN' here.*data\.rle_empty"
    ):
        form.decode("", (2, 2))
    for text in ("1 0", "nan", "-1 -1"):
        with pytest.raises(InputError, match="RLE"):
            form.decode(text, (2, 2))


def test_a_mask_that_would_be_read_as_empty_cannot_be_said() -> None:
    first = np.array([[1, 0], [0, 0]])
    with pytest.raises(InputError, match="'1 1' cannot be said"):
        RleForm(empty=("1 1",)).encode(first)
    assert RleForm(base=0, empty=("1 1",)).encode(first) == "0 1"

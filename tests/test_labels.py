from pathlib import Path

import numpy as np
import pytest

from tessera.errors import InputError
from tessera.labels import read_csv, read_rle_table


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
        (b"id,rle\n\xff\xfe\xfa,1\n", "cannot be read as a csv"),
        (b"image,mask\na,1 2\n", "has no column 'id'; its columns are image, mask"),
    ],
    ids=["empty", "open quote", "ragged", "binary", "other columns"],
)
def test_a_bad_csv_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.csv") as error:
        read_csv(path, "id", "rle")
    assert said in str(error.value)


def test_a_missing_csv_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.csv: cannot be read"):
        read_csv(tmp_path / "gone.csv")


def test_rows_decode_by_id_and_an_empty_cell_is_an_empty_mask(tmp_path: Path) -> None:
    table = read_rle_table(_write(tmp_path / "t.csv", "id,other,rle\na,x,1 2\nb,y,\n"), "id", "rle")
    np.testing.assert_array_equal(table.decode("a", (2, 2), "column", 1), [[1, 0], [1, 0]])
    np.testing.assert_array_equal(table.decode("a", (2, 2), "row", 1), [[1, 1], [0, 0]])
    np.testing.assert_array_equal(table.decode("a", (2, 2), "row", 0), [[0, 1], [1, 0]])
    assert not table.decode("b", (2, 2), "column", 1).any()
    assert table.duplicates == []


def test_a_wrong_row_is_named_by_file_line_and_id(tmp_path: Path) -> None:
    table = read_rle_table(_write(tmp_path / "t.csv", "id,rle\na,1 1\nb,1 1 1\n"), "id", "rle")
    with pytest.raises(InputError, match=r"t\.csv line 3 \(id b\): RLE has 3 numbers"):
        table.decode("b", (2, 2), "column", 1)


def test_a_second_row_of_an_id_is_a_problem_with_its_line(tmp_path: Path) -> None:
    table = read_rle_table(_write(tmp_path / "t.csv", "id,rle\na,\nb,\na,1 1\n"), "id", "rle")
    (problem,) = table.duplicates
    assert "t.csv line 4" in problem
    assert "'a'" in problem

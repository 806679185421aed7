import numpy as np
import pytest
from samples import masks

from tessera import rle
from tessera.errors import InputError

CODINGS = [(order, base) for order in ("column", "row") for base in (0, 1)]


def _naive_encode(mask: np.ndarray, order: str, base: int) -> str:
    """Walks pixel by pixel."""
    pixels = [int(v) for v in (mask.T if order == "column" else mask).reshape(-1)]
    runs = []
    for place, value in enumerate(pixels):
        if value and (place == 0 or not pixels[place - 1]):
            runs.append([place + base, 0])
        if value:
            runs[-1][1] += 1
    return " ".join(f"{start} {length}" for start, length in runs)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize(("order", "base"), CODINGS)
def test_decode_undoes_encode(order: str, base: int, relative: bool) -> None:
    for mask in masks():
        decoded = rle.decode(rle.encode(mask, order, base, relative), mask.shape, order, base, relative)
        assert decoded.dtype == np.uint8
        np.testing.assert_array_equal(decoded, mask)


@pytest.mark.parametrize(("order", "base"), CODINGS)
def test_encode_equals_a_walk_over_the_pixels(order: str, base: int) -> None:
    for mask in masks():
        assert rle.encode(mask, order, base) == _naive_encode(mask, order, base)


def test_relative_starts_are_counted_from_the_end_of_the_run_before() -> None:
    mask = np.array([[0, 1, 1, 0, 0, 0, 1, 0, 1, 1]])
    assert rle.encode(mask, "row", 0, relative=True) == "1 2 3 1 1 2"
    np.testing.assert_array_equal(rle.decode("1 2 3 1 1 2", (1, 10), "row", 0, relative=True), mask)


@pytest.mark.parametrize(
    ("text", "said"),
    [("1 2 -1 1", "run 2 starts at 2, before run 1 ends"), ("1 2 9 1", "covers pixels 1…12"), ("1 2 3", "3 numbers")],
)
def test_relative_runs_are_checked_as_absolute_ones(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        rle.decode(text, (1, 10), "row", 0, relative=True)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize(("order", "base"), CODINGS)
@pytest.mark.parametrize("tall", [1, 3, 100])
def test_bands_of_rows_are_parts_of_the_whole(order: str, base: int, relative: bool, tall: int) -> None:
    for mask in masks():
        height = len(mask)
        runs = rle.read_runs(rle.encode(mask, order, base, relative), mask.shape, order, base, relative)
        bands = [runs.rows(y, min(y + tall, height)) for y in range(0, height, tall)]
        assert all(band.dtype == np.uint8 for band in bands)
        np.testing.assert_array_equal(np.concatenate(bands), mask)


@pytest.mark.parametrize("order", ["row", "column"])
def test_touching_runs_are_one_in_every_band(order: str) -> None:
    runs = rle.read_runs("1 3 4 2 6 15", (4, 6), order)  # 20 of 24 pixels
    whole = np.arange(24) < 20
    whole = whole.reshape((4, 6), order="F" if order == "column" else "C")
    for y0, y1 in ((0, 4), (0, 1), (1, 3), (3, 4), (2, 2)):
        np.testing.assert_array_equal(runs.rows(y0, y1), whole[y0:y1])


def test_default_is_column_major_and_one_based() -> None:
    assert rle.encode(np.array([[0, 0, 1], [1, 0, 1]])) == "2 1 5 2"
    assert rle.encode(np.array([[0, 0, 1], [1, 0, 1]]), "row") == "3 2 6 1"


def test_any_non_zero_value_is_foreground() -> None:
    assert rle.encode(np.array([[0, 255, -3]])) == "2 2"


def test_an_empty_text_is_an_empty_mask() -> None:
    for text in ("", "  ", "\n"):
        assert not rle.decode(text, (3, 4)).any()


def test_runs_that_touch_are_accepted() -> None:
    np.testing.assert_array_equal(rle.decode("1 2 3 1", (1, 4)), [[1, 1, 1, 0]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 2 3", ["3 numbers", "even"]),
        ("1 2 x 4", ["whole numbers", "1 2 x 4"]),
        ("1.5 2", ["whole numbers", "1.5 2"]),
        ("1,2", ["whole numbers", "1,2"]),
        ("nan", ["whole numbers", "nan"]),
        ("1 2 5 0", ["run 2", "length 0"]),
        ("5 -2", ["run 1", "length -2"]),
        ("0 2", ["pixels 0…1", "4×5", "1…20"]),
        ("-3 2", ["pixels -3…-2", "4×5"]),
        ("20 2", ["pixels 20…21", "4×5", "1…20"]),
        ("10 2 3 2", ["run 2 starts at 3", "run 1", "unsorted or overlapping"]),
        ("3 4 5 2", ["run 2 starts at 5", "run 1", "unsorted or overlapping"]),
        ("100 1 1 1", ["run"]),
        ("99999999999999999999 1", ["99999999999999999999"]),
        ("9223372036854775807 9223372036854775807", ["beyond any image"]),
        ("1 1 -1234567890123 1", ["beyond any image"]),
        ("1 2-3", ["whole numbers", "1 2-3"]),
        ("1 2 -", ["whole numbers", "1 2 -"]),
        ("1 1234567890123 x", ["whole numbers"]),
    ],
)
def test_decode_refuses_and_names_the_place(text: str, said: list[str]) -> None:
    with pytest.raises(InputError) as error:
        rle.decode(text, (4, 5))
    for piece in said:
        assert piece in str(error.value)


@pytest.mark.parametrize(("order", "base"), CODINGS)
def test_the_last_pixel_is_inside_and_the_next_outside(order: str, base: int) -> None:
    last = 4 * 5 - 1 + base
    assert rle.decode(f"{last} 1", (4, 5), order, base)[-1, -1] == 1
    with pytest.raises(InputError, match="outside"):
        rle.decode(f"{last} 2", (4, 5), order, base)

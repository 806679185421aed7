from collections.abc import Iterator

import numpy as np
import pytest

from tessera.predict import blocks
from tessera.predict.blocks import Maps, in_blocks, side_by_side

HEIGHT = 23
WHOLE = np.random.default_rng(0).random((2, HEIGHT, 5), np.float32)


def _pieces(*ends: int) -> Iterator[Maps]:
    """In memory that is used again."""
    held = np.empty_like(WHOLE)
    for start, end in zip((0, *ends), (*ends, HEIGHT), strict=True):
        piece = held[:, : end - start]
        piece[:] = WHOLE[:, start:end]
        yield {"a": piece, "b": piece[::-1]}


@pytest.mark.parametrize("ends", [(), (4, 20), range(1, HEIGHT)])
@pytest.mark.parametrize("rows", [1, 6, HEIGHT, 99])
def test_blocks_are_the_whole_rounded(monkeypatch: pytest.MonkeyPatch, ends: tuple[int, ...], rows: int) -> None:
    monkeypatch.setattr(blocks, "ROWS", rows)
    found = list(in_blocks(_pieces(*ends), HEIGHT))
    assert [len(block["a"][0]) for block in found] == [min(rows, HEIGHT - y) for y in range(0, HEIGHT, rows)]
    for name, whole in (("a", WHOLE), ("b", WHOLE[::-1])):
        together = np.concatenate([block[name] for block in found], 1)
        assert together.dtype == np.uint8
        np.testing.assert_array_equal(together, np.rint(255 * whole))


def test_ways_that_end_at_different_rows_show_the_same_ones_side_by_side() -> None:
    row = 0
    for one, two in side_by_side([_pieces(4, 20), _pieces(3, 4, 9)]):
        count = one["a"].shape[1]
        np.testing.assert_array_equal(one["a"], WHOLE[:, row : row + count])
        np.testing.assert_array_equal(two["b"], WHOLE[::-1, row : row + count])
        row += count
    assert row == HEIGHT


def test_rows_that_lack_are_an_error_and_not_a_shorter_map() -> None:
    short = ({"a": WHOLE[:, :20]} for _ in range(1))
    with pytest.raises(ValueError, match="fewer rows"):
        list(side_by_side([_pieces(4), short]))
    with pytest.raises(ValueError, match="20 rows of 23"):
        list(in_blocks(iter([{"a": WHOLE[:, :20]}]), HEIGHT))

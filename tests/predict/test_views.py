import numpy as np
import pytest
import torch

from tessera.params import predict as params
from tessera.predict.sights import MERGED
from tessera.predict.views import ALTERNATING, FLIPS, TURNS, View, turned, turned_back
from tessera.tasks import MIRRORED, build_task


def test_params_offer_exactly_the_views_there_are() -> None:
    assert (set(params.TURNS), params.ALTERNATING) == (set(TURNS), ALTERNATING)
    assert params.MERGED == MERGED


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("shape", [(5, 7), (2, 6, 3), (2, 3, 4, 5)])
def test_a_turn_can_be_undone(turn: str, shape: tuple[int, ...]) -> None:
    pixels = torch.rand(shape)
    assert turned(pixels, turn).shape in (shape, (*shape[:-2], shape[-1], shape[-2]))
    assert torch.equal(turned_back(turned(pixels, turn), turn), pixels)


def test_turns_say_what_they_do() -> None:
    pixels = torch.tensor([[1, 2], [3, 4]])
    assert {turn: turned(pixels, turn).tolist() for turn in TURNS} == {
        "identity": [[1, 2], [3, 4]], "flip_h": [[2, 1], [4, 3]], "flip_v": [[3, 4], [1, 2]], "rot180": [[4, 3], [2, 1]],
        "rot90": np.rot90([[1, 2], [3, 4]]).tolist(), "rot270": np.rot90([[1, 2], [3, 4]], 3).tolist(),
        "transpose": [[1, 3], [2, 4]], "anti_transpose": [[4, 2], [3, 1]],
    }  # fmt: skip


@pytest.mark.parametrize("turn", TURNS)
def test_pairs_swap_in_mirror_images_alone(turn: str) -> None:
    """A turn is a mirror image when the way round from x to y changes."""
    x, y = torch.meshgrid(torch.arange(3), torch.arange(3), indexing="xy")
    x, y = turned(x, turn), turned(y, turn)
    determinant = (x[0, 1] - x[0, 0]) * (y[1, 0] - y[0, 0]) - (x[1, 0] - x[0, 0]) * (y[0, 1] - y[0, 0])
    task = build_task("multilabel", ["left", "middle", "right"], [["left", "right"]])
    assert (turn in MIRRORED) == (determinant < 0)
    assert task.permutation(turn) == ([2, 1, 0] if determinant < 0 else [0, 1, 2])


def test_a_name_says_turn_and_scale() -> None:
    assert View.of("rot90") == View("rot90", 1)
    assert View.of("flip_h@0.8") == View("flip_h", 0.8)


def test_alternating_shows_each_of_four_neighbours_another_flip() -> None:
    view = View.of(ALTERNATING)
    for row in range(3):
        for column in range(3):
            near = {view.turn_of(y, x) for y in (row, row + 1) for x in (column, column + 1)}
            assert near == set(FLIPS)
    assert {View.of("rot90").turn_of(row, row) for row in range(3)} == {"rot90"}

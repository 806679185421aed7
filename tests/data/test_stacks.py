import h5py
import pandas as pd
import pytest

from tessera.data.boxes import BOX, in_label_slices, over_depth
from tessera.data.pixels import Depth, PixelStore, create_image
from tessera.data.stacks import Stack
from tessera.errors import InputError


@pytest.mark.parametrize(
    ("stack", "z", "expected"),
    [
        (Stack(), 3, [3]),
        (Stack(5), 2, [0, 1, 2, 3, 4]),
        (Stack(5), 0, [0, 0, 0, 1, 2]),
        (Stack(5, edge="reflect"), 0, [2, 1, 0, 1, 2]),
        (Stack(5, edge="reflect"), 5, [3, 4, 5, 4, 3]),
        (Stack(3, 4), 1, [0, 1, 5]),
        (Stack(3, 4, "reflect"), 1, [3, 1, 5]),
        (Stack(5, 2, "reflect"), 5, [1, 3, 5, 3, 1]),
        (Stack(5, depths=(2, 5)), 2, [2, 2, 2, 3, 4]),
        (Stack(5, edge="reflect", depths=(2, 5)), 4, [2, 3, 4, 3, 2]),
        (Stack(5, edge="reflect", depths=(2, 4)), 2, [2, 3, 2, 3, 2]),  # reflected again and again
    ],
)
def test_the_slices_of_a_stack_in_a_volume_of_six(stack: Stack, z: int, expected: list[int]) -> None:
    assert stack.around(z, 6) == expected


@pytest.mark.parametrize("edge", ["clamp", "reflect"])
def test_the_stack_of_an_image_repeats_it(edge: str) -> None:
    assert Stack(3, 2, edge).around(0, 1) == [0, 0, 0]


@pytest.fixture
def store(tmp_path) -> PixelStore:
    """`v` has one label for its seven slices, `s` one for each of its three."""
    with h5py.File(tmp_path / "tiles.h5", "w") as file:
        create_image(file, "v", (7, 8, 9, 1), (16, 18), True, label_depth=1)
        create_image(file, "s", (3, 8, 9, 1), (8, 9), True, label_depth=3)
    return PixelStore(tmp_path / "tiles.h5")


def test_one_label_for_all_depth_is_stored_once(store: PixelStore) -> None:
    assert store.file["v"]["labels"].shape == (1, 8, 9)
    assert store.file["v"]["truth"].shape == (1, 16, 18)
    assert [store.depth(name) for name in "vs"] == [Depth(7, 1), Depth(3, 3)]
    assert [store.depth(name).one_label for name in "vs"] == [True, False]
    assert [store.depth(name).slice_of(z) for name, z in (("v", 0), ("s", 0), ("s", 2))] == [3, 0, 2]
    assert "label_depth" not in store.file["s"].attrs, "files of labelled slices are as they always were"


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        (Stack(), [3]),
        (Stack(centres=(1, 5)), [1, 5]),
        (Stack(depths=(4, 7)), [5]),
        (Stack(depths=(4, 7), centres=(4,)), [4]),
    ],
)
def test_where_one_label_is_seen(store: PixelStore, stack: Stack, expected: list[int]) -> None:
    assert stack.middles(store, "v", 0) == expected


def test_the_label_of_a_slice_is_seen_around_it(store: PixelStore) -> None:
    assert [Stack(3).middles(store, "s", z) for z in range(3)] == [[0], [1], [2]]


def test_of_labelled_slices_those_in_the_depths_are_shown_and_one_label_is(store: PixelStore) -> None:
    rows = pd.DataFrame([("s", 0), ("v", 0), ("s", 1), ("s", 2)], columns=["image_id", "z"])
    assert Stack(depths=(1, 5)).shown(rows, store).tolist() == [False, True, True, True]
    assert Stack().shown(rows, store).all()
    assert Stack(3, edge="reflect", depths=(1, 5)).around(2, 3) == [1, 2, 1], "a shallower volume ends before the range"
    assert Stack(depths=(1, 2)).shown(rows[:0], store).tolist() == []


@pytest.mark.parametrize("stack", [Stack(depths=(2, 8)), Stack(centres=(3, 7))])
def test_a_volume_without_a_slice_of_the_model_is_refused(store: PixelStore, stack: Stack) -> None:
    with pytest.raises(InputError, match="v: has slices 0…6; .*must lie within"):
        stack.middles(store, "v", 0)


def test_boxes_of_labels_speak_of_all_depth(store: PixelStore) -> None:
    labels = pd.DataFrame([("v", 0, 1, 0, 4, 0, 4), ("s", 1, 2, 0, 4, 0, 4)], columns=BOX)
    slices = over_depth(labels, store)
    assert slices[["z0", "z1"]].to_numpy().tolist() == [[0, 7], [1, 2]]
    pd.testing.assert_frame_equal(in_label_slices(slices, store), labels)

import numpy as np
import pandas as pd
import pytest

from tessera.data.boxes import BOX, holders, in_original_px, in_working_px, near, union

SIDE = 14
rng = np.random.default_rng(0)


def _boxes(count: int, longest: int = 5) -> pd.DataFrame:
    boxes = pd.DataFrame({"image_id": rng.choice(["a", "b"], count)})
    for axis in "zyx":
        boxes[f"{axis}0"] = rng.integers(0, SIDE - longest, count)
        boxes[f"{axis}1"] = boxes[f"{axis}0"] + rng.integers(1, longest + 1, count)
    return boxes


def _paint(boxes: pd.DataFrame, slices: int = 0, px: int = 0) -> np.ndarray:
    """The voxels (2, Z, H, W) bool of two images that the boxes, grown by slices and px, cover; 9 voxels of margin."""
    voxels = np.zeros((2, SIDE + 18, SIDE + 18, SIDE + 18), bool)
    for box in boxes.itertuples():
        spans = [
            slice(getattr(box, f"{axis}0") + 9 - reach, getattr(box, f"{axis}1") + 9 + reach)
            for axis, reach in (("z", slices), ("y", px), ("x", px))
        ]
        voxels["ab".index(box.image_id), *spans] = True
    return voxels


@pytest.mark.parametrize(("slices", "px"), [(0, 0), (2, 0), (0, 3), (1, 2)])
def test_near_pairs_are_those_that_overlap_once_grown(slices: int, px: int) -> None:
    boxes, others = _boxes(40), _boxes(15)
    expected = {
        (one, other)
        for one in range(40)
        for other in range(15)
        if (_paint(boxes.iloc[[one]]) & _paint(others.iloc[[other]], slices, px)).any()
    }
    assert set(map(tuple, near(boxes, others, slices, px))) == expected
    assert expected


def test_a_holder_holds_the_whole_box() -> None:
    tiles = pd.DataFrame(
        [("a", 0, 9, y, y + 6, x, x + 6) for y in (0, 6) for x in (0, 6)] + [("b", 0, 3, 0, 12, 0, 12)], columns=BOX
    )
    boxes = pd.DataFrame(
        [("a", 8, 9, 6, 12, 0, 6), ("a", 0, 1, 5, 7, 0, 2), ("b", 2, 4, 0, 1, 0, 1), ("b", 0, 1, 0, 1, 0, 1)],
        columns=BOX,
    )
    assert holders(boxes, tiles).tolist() == [2, -1, -1, 4]


@pytest.mark.parametrize("count", [1, 30, 200])
def test_a_union_covers_exactly_what_its_boxes_cover(count: int) -> None:
    boxes = _boxes(count)
    united = union(boxes)
    np.testing.assert_array_equal(_paint(united), _paint(boxes))
    assert len(united) <= count


def test_a_grid_of_overlapping_windows_unites_to_one_box() -> None:
    grid = [("a", z, z + 1, y, y + 4, x, x + 4) for z in range(3) for y in (0, 3, 6) for x in (0, 2, 4)]
    assert union(pd.DataFrame(grid, columns=BOX)).to_numpy().tolist() == [["a", 0, 3, 0, 10, 0, 8]]


class Shapes:
    """A store that knows nothing but shapes."""

    def shape(self, image_id: str) -> tuple[int, int, int]:
        return {"a": (1, 10, 7), "b": (1, 5, 40)}[image_id]


MANIFEST = pd.DataFrame([("a", 33, 20), ("b", 5, 40)], columns=["image_id", "height", "width"])


def test_a_box_in_original_px_holds_all_that_its_working_pixels_were_made_from() -> None:
    boxes = pd.DataFrame([("a", 0, 1, 3, 6, 2, 9), ("b", 0, 1, 0, 9, 30, 50)], columns=BOX)
    found = in_original_px(boxes, Shapes(), MANIFEST)
    # rows 3…6 of 10 cover 9.9…19.8 of 33 px, columns 2…7 of 7 cover 5.7…20 of 20; b is at scale 1 and cut at its edge
    assert found.to_numpy().tolist() == [["a", 0, 1, 9, 20, 5, 20], ["b", 0, 1, 0, 5, 30, 40]]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_parts_share_the_working_pixels_of_their_image_among_them(count: int) -> None:
    edges = [33 * number // count for number in range(count + 1)]
    parts = pd.DataFrame([("a", 0, 1, *edges[k : k + 2], 0, 20) for k in range(count)], columns=BOX)
    found = in_working_px(parts, Shapes(), MANIFEST)
    assert [y for part in found.itertuples() for y in range(part.y0, part.y1)] == list(range(10))
    assert ((found.x0 == 0) & (found.x1 == 7)).all()

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from tessera.data.patches import drop_background, drop_empty, grid, index_slice


@pytest.mark.parametrize("length", [1, 5, 16, 17, 31, 32, 33, 64, 100])
@pytest.mark.parametrize(("size", "stride"), [(16, 16), (16, 12), (16, 1), (32, 20)])
def test_a_grid_covers_everything_and_stays_inside(length: int, size: int, stride: int) -> None:
    starts = grid(length, size, stride)
    covered = {place for start in starts for place in range(start, start + size)}
    assert covered >= set(range(length))
    assert starts == sorted(set(starts))
    assert starts[-1] == max(length - size, 0)
    assert all(b - a <= stride for a, b in pairwise(starts))


@pytest.mark.parametrize("shape", [(40, 50), (16, 16), (10, 50), (9, 7)])
@pytest.mark.parametrize(("size", "stride"), [(16, 16), (16, 9)])
def test_fractions_equal_those_of_the_cut_out_patch(shape: tuple[int, int], size: int, stride: int) -> None:
    labels = np.random.default_rng(0).choice(np.array([0, 1, 255], np.uint8), shape, p=[0.5, 0.2, 0.3])
    patches = index_slice(labels, size, stride, ["a"])
    assert list(zip(patches.y, patches.x, strict=True)) == [
        (y, x) for y in grid(shape[0], size, stride) for x in grid(shape[1], size, stride)
    ]
    for row in patches.itertuples():
        patch = labels[int(row.y) : int(row.y) + size, int(row.x) : int(row.x) + size]
        assert row.valid_fraction == pytest.approx((patch != 255).mean())
        assert row.positive_fraction == pytest.approx((patch == 1).sum() / (patch != 255).sum())


def test_several_classes_have_each_their_share() -> None:
    """Two patches: class a covers half of the first, b a quarter, overlapping in an eighth; the second has no label."""
    labels = np.zeros((16, 32, 2), np.uint8)
    labels[:8, :16, 0] = 1
    labels[4:12, :8, 1] = 1
    labels[:, 16:] = 255
    labels[0, 31, 1] = 0
    first, second = index_slice(labels, 16, 16, ["a", "b"]).itertuples()
    assert (first.positive_a, first.positive_b, first.positive_fraction) == (0.5, 0.25, 0.625)
    assert (second.valid_fraction, second.positive_fraction) == (1 / 256, 0)


def test_a_patch_without_a_valid_pixel_is_left_out() -> None:
    labels = np.full((16, 32), 255, np.uint8)
    labels[5, 20] = 0
    assert index_slice(labels, 16, 16, ["a"])[["y", "x"]].to_numpy().tolist() == [[0, 16]]


def test_patches_that_show_nothing_are_left_out_unless_they_are_positive() -> None:
    """Four patches of 16 px: noise, glass (bright grey, a little noise), flat, and flat with a label."""
    rng = np.random.default_rng(0)
    pixels = np.full((16, 64, 3), 200, np.uint8)
    pixels[:, :16] = rng.integers(0, 256, (16, 16, 3))
    pixels[:, 16:32] = rng.integers(150, 256, (16, 16, 1))
    labels = np.zeros((16, 64), np.uint8)
    labels[3, 60] = 1
    patches = index_slice(labels, 16, 16, ["a"])
    assert drop_background(patches, pixels, 16, 10, 0).x.tolist() == [0, 16, 48]
    assert drop_background(patches, pixels, 16, 10, 0.5).x.tolist() == [0, 48]
    assert drop_background(patches, pixels[..., :1], 16, 0.5, 0).x.tolist() == [0, 16, 48]


@pytest.mark.parametrize("keep", [0.0, 0.25, 1.0])
def test_the_share_of_empty_patches_stays_and_every_other_patch(keep: float) -> None:
    patches = pd.DataFrame({"x": range(60), "positive_fraction": [0.0, 0.0, 0.1] * 20})
    kept = drop_empty(patches, keep, seed=0)
    assert (kept.positive_fraction > 0).sum() == 20
    assert (kept.positive_fraction == 0).sum() == 40 * keep
    assert kept.x.is_monotonic_increasing
    pd.testing.assert_frame_equal(kept, drop_empty(patches, keep, seed=0))

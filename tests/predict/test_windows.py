import numpy as np
import pytest

from tessera.predict.windows import Plan, Stitcher, gaussian, pad, plan_windows

SIZES = [(1, 1), (5, 40), (32, 32), (33, 31), (64, 96), (100, 65), (129, 70)]


def _stitched(pixels: np.ndarray, plan: Plan) -> np.ndarray:
    stitcher = Stitcher(plan, len(pixels))
    padded = pad(pixels, plan)
    for y, x in plan.places:
        stitcher.add(y, x, padded[:, y : y + plan.size[0], x : x + plan.size[1]])
    return stitcher.mean(*pixels.shape[1:])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("window", [32, 64, 96])
@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 0.75])
def test_stitching_the_tiles_gives_the_image(size: tuple[int, int], window: int, overlap: float) -> None:
    image = np.random.default_rng(0).random((2, *size), np.float32)
    np.testing.assert_allclose(_stitched(image, plan_windows(*size, window, overlap, 32)), image, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("overlap", [0, 0.25, 0.75])
def test_a_constant_map_stays_constant(size: tuple[int, int], overlap: float) -> None:
    image = np.full((1, *size), 0.3, np.float32)
    np.testing.assert_allclose(_stitched(image, plan_windows(*size, 64, overlap, 32)), 0.3, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("window", [32, 96])
@pytest.mark.parametrize("multiple", [1, 32])
def test_windows_are_alike_inside_and_multiples(size: tuple[int, int], window: int, multiple: int) -> None:
    plan = plan_windows(*size, window, 0.25, multiple)
    for axis in (0, 1):
        assert plan.size[axis] <= window
        assert plan.size[axis] % multiple == 0
        assert size[axis] <= plan.padded[axis] < size[axis] + multiple
    assert all(y + plan.size[0] <= plan.padded[0] and x + plan.size[1] <= plan.padded[1] for y, x in plan.places)
    assert len(set(plan.places)) == len(plan.places)


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5])
def test_neighbours_overlap_at_least_by_the_share(overlap: float) -> None:
    ys = sorted({y for y, _ in plan_windows(301, 64, 64, overlap, 32).places})
    assert max(np.diff(ys)) <= 64 * (1 - overlap)


def test_padding_mirrors_at_the_lower_and_right_edge() -> None:
    pixels = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    found = pad(pixels, plan_windows(3, 4, 64, 0.25, 5))
    np.testing.assert_array_equal(found, np.pad(pixels, ((0, 0), (0, 2), (0, 1)), mode="reflect"))


@pytest.mark.parametrize("size", [(1, 1), (32, 64), (33, 7)])
def test_weights_are_symmetric_positive_and_largest_in_the_middle(size: tuple[int, int]) -> None:
    weights = gaussian(size)
    np.testing.assert_array_equal(weights, weights[::-1, ::-1])
    assert 0 < weights.min() <= weights.max() == weights[size[0] // 2, size[1] // 2] == 1

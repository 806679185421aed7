from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tessera.predict import stitching
from tessera.predict.memory import Memory
from tessera.predict.stitching import Stitcher
from tessera.predict.windows import WEIGHTS, Plan, build_weights, plan_windows

SIZES = [(1, 1), (5, 40), (32, 32), (33, 31), (64, 96), (100, 65), (129, 70)]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def low_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that many windows cross."""
    monkeypatch.setattr(stitching, "ROWS", 20)


def _stitch(image: np.ndarray, plan: Plan, weights: np.ndarray, rows: tuple[int, int] | None = None) -> np.ndarray:
    """Cuts the windows of an image, which may be smaller than the plan, adds and merges them."""
    lack = [padded - side for padded, side in zip(plan.padded, image.shape[1:], strict=True)]
    padded = torch.from_numpy(np.pad(image, ((0, 0), (0, lack[0]), (0, lack[1])), mode="symmetric"))
    stitcher = Stitcher(plan, weights, rows or (0, image.shape[1]), len(image), {"a": 2}, Memory(CPU))
    blocks = [block.copy() for block in _blocks(stitcher, plan, padded)]
    assert {block.shape[1] for block in blocks[:-1]} <= {20}
    return np.concatenate(blocks, 1)[:, :, : image.shape[2]] / 255


def _blocks(stitcher: Stitcher, plan: Plan, padded: torch.Tensor) -> Iterator[np.ndarray]:
    ends = [*plan.starts[0][1:], plan.padded[0]]
    for places, end in zip(plan.rows, ends, strict=True):
        for place in places:
            window = padded[:, place.y : place.y + plan.size[0], place.x : place.x + plan.size[1]]
            for factor in (0.5, 1.5):
                stitcher.add("a", place, window * factor)
        open_rows = end - 20 - places[0].y + plan.size[0]
        yield from (maps["a"] for maps in stitcher.finished(end))
        assert len(stitcher._open) <= open_rows // 20 + 3


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("window", [32, 64, 96])
@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("name", WEIGHTS)
def test_stitching_the_tiles_gives_the_image(size: tuple[int, int], window: int, overlap: float, name: str) -> None:
    """Law 2, with noise; what a constant map becomes is the same law."""
    image = np.random.default_rng(0).random((2, *size), np.float32)
    plan = plan_windows(*size, window, overlap, 32)
    np.testing.assert_allclose(_stitch(image, plan, build_weights(name, plan.size, overlap)), image, atol=2e-6)


@pytest.mark.parametrize("rows", [(0, 129), (7, 129), (50, 71), (128, 129)])
def test_rows_alone_are_those_of_the_whole(rows: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((1, 129, 70), np.float32)
    plan = plan_windows(129, 70, 32, 0.5, 32)
    found = _stitch(image, plan, build_weights("gaussian", plan.size, 0.5), rows)
    np.testing.assert_allclose(found, image[:, slice(*rows)], atol=2e-6)


@pytest.mark.parametrize("name", WEIGHTS)
def test_it_is_the_weighted_mean(name: str) -> None:
    """Windows that disagree, beside the formula over the whole plane."""
    plan, overlap = plan_windows(90, 70, 32, 0.6, 32), 0.6
    weights, rng = build_weights(name, plan.size, overlap), np.random.default_rng(0)
    stitcher = Stitcher(plan, weights, (0, 90), 1, {"a": 1}, Memory(CPU))
    total, count = np.zeros((2, 90, 70))
    for places in plan.rows:
        for place in places:
            window = rng.random((32, 32)).astype(np.float32)
            stitcher.add("a", place, torch.from_numpy(window)[None])
            at = np.s_[place.y : place.y + 32, place.x : place.x + 32]
            total[at] += window * weights
            count[at] += weights
    found = np.concatenate([maps["a"].copy() for maps in stitcher.finished(90)], 1)
    np.testing.assert_allclose(found[0], 255 * total / count, rtol=1e-4)


def test_what_no_window_was_added_to_is_0() -> None:
    plan = plan_windows(64, 64, 32, 0.25, 32)
    stitcher = Stitcher(plan, build_weights("gaussian", plan.size, 0.25), (0, 64), 1, {"a": 1}, Memory(CPU))
    assert not any(maps["a"].any() for maps in stitcher.finished(64))


@pytest.mark.parametrize("full_at", range(1, 9))
def test_a_device_that_is_full_while_sums_are_made_leaves_none_of_them_behind(
    monkeypatch: pytest.MonkeyPatch, full_at: int
) -> None:
    """Tensors that have a device and no values, on a GPU that need not be there: what meets must lie on one device."""
    plan, said, made, zeros = plan_windows(64, 64, 32, 0.25, 32), [], [], torch.zeros

    def allocated(*arguments: object, **keys: object) -> torch.Tensor:
        made.append(1)
        if len(made) == full_at:
            raise torch.OutOfMemoryError("no memory")
        return zeros(*arguments, **keys)

    with FakeTensorMode(allow_non_fake_inputs=True):
        windows = zeros((1, 32, 32), device="cuda")
        monkeypatch.setattr(torch, "zeros", allocated)
        weights = build_weights("gaussian", plan.size, 0.25)
        stitcher = Stitcher(plan, weights, (0, 64), 1, {"a": 1, "b": 1}, Memory(torch.device("cuda"), said.append))
        for place in (place for places in plan.rows for place in places):
            for name in "ab":
                stitcher.add(name, place, windows)
        assert {sums.device.type for block in stitcher._open.values() for sums in block.values()} == {"cpu"}
    assert len(said) == 1

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tessera.errors import InputError
from tessera.predict.memory import Memory
from tessera.predict.stitching import Stitcher
from tessera.predict.windows import WEIGHTS, Plan, build_weights, plan_windows

SIZES = [(1, 1), (5, 40), (32, 32), (33, 31), (64, 96), (100, 65), (129, 70)]
CPU = torch.device("cpu")


def _stitch(
    image: np.ndarray, plan: Plan, weights: tuple, rows: tuple[int, int] | None = None, batch: int = 1
) -> np.ndarray:
    """Cuts the windows of an image, which may be smaller than the plan, and adds them, `batch` between two looks."""
    lack = [padded - side for padded, side in zip(plan.padded, image.shape[1:], strict=True)]
    padded = torch.from_numpy(np.pad(image, ((0, 0), (0, lack[0]), (0, lack[1])), mode="symmetric"))
    stitcher, pieces = Stitcher(plan, weights, rows or (0, image.shape[1]), len(image), Memory(CPU)), []
    for number, place in enumerate(place for places in plan.rows for place in places):
        window = padded[:, place.y : place.y + plan.size[0], place.x : place.x + plan.size[1]]
        stitcher.add(place, window)
        if number % batch == 0:
            pieces += [piece.copy() for piece in stitcher.finished()]
            assert len(stitcher._bands) + len(stitcher._spare) <= 3 + batch // len(plan.starts[1])
    stitcher.finish()
    pieces += [piece.copy() for piece in stitcher.finished()]
    return np.concatenate(pieces, 1)[:, :, : image.shape[2]]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("window", [32, 64, 96])
@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("name", WEIGHTS)
def test_stitching_the_tiles_gives_the_image(size: tuple[int, int], window: int, overlap: float, name: str) -> None:
    """Law 2, with noise; what a constant map becomes is the same law."""
    image = np.random.default_rng(0).random((2, *size), np.float32)
    plan = plan_windows(*size, window, overlap, 32)
    np.testing.assert_allclose(_stitch(image, plan, build_weights(name, plan.size, overlap)), image, atol=2e-6)


@pytest.mark.parametrize("batch", [2, 7, 50])
def test_it_does_not_matter_when_one_looks(batch: int) -> None:
    image = np.random.default_rng(0).random((1, 129, 70), np.float32)
    plan = plan_windows(129, 70, 32, 0.6, 32)
    found = _stitch(image, plan, build_weights("gaussian", plan.size, 0.6), batch=batch)
    np.testing.assert_allclose(found, image, atol=2e-6)


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
    stitcher = Stitcher(plan, weights, (0, 90), 1, Memory(CPU))
    total, count = np.zeros((2, 90, 70))
    for places in plan.rows:
        for place in places:
            window = rng.random((32, 32)).astype(np.float32)
            stitcher.add(place, torch.from_numpy(window)[None])
            at = np.s_[place.y : place.y + 32, place.x : place.x + 32]
            total[at] += window * np.outer(*weights)
            count[at] += np.outer(*weights)
    stitcher.finish()
    found = np.concatenate(list(stitcher.finished()), 1)
    np.testing.assert_allclose(found[0], total / count, rtol=1e-4)


@pytest.mark.parametrize("left_out", ["all", "first", "last", "odd", "rows"])
def test_what_no_window_was_added_to_is_0(left_out: str) -> None:
    """Bands are used again: nothing of earlier rows shows through."""
    plan = plan_windows(320, 160, 32, 0, 32)
    stitcher = Stitcher(plan, build_weights("gaussian", plan.size, 0), (0, 320), 1, Memory(CPU))
    skipped = {
        "all": lambda place: True, "first": lambda place: place.column == 0, "last": lambda place: place.column == 4,
        "odd": lambda place: (place.row + place.column) % 2, "rows": lambda place: place.row in (0, 3, 4, 9),
    }[left_out]  # fmt: skip
    expected, pieces = np.zeros((320, 160), np.float32), []
    for place in (place for places in plan.rows for place in places if not skipped(place)):
        expected[place.y : place.y + 32, place.x : place.x + 32] = 1
        stitcher.add(place, torch.ones(1, 32, 32))
        pieces += [piece.copy() for piece in stitcher.finished()]
    stitcher.finish()
    np.testing.assert_array_equal(np.concatenate([*pieces, *stitcher.finished()], 1)[0], expected)


@pytest.mark.parametrize("place", [0, 7, 24])
def test_what_is_not_a_number_is_said(place: int) -> None:
    """However many windows came after it."""
    plan = plan_windows(96, 96, 32, 0.5, 32)
    stitcher = Stitcher(plan, build_weights("gaussian", plan.size, 0.5), (0, 96), 1, Memory(CPU))
    for number, where in enumerate(place for places in plan.rows for place in places):
        window = torch.full((1, 32, 32), 0.5)
        if number == place:
            window[0, 3, 5] = np.nan
        stitcher.add(where, window)
        list(stitcher.finished())
    with pytest.raises(InputError, match="says NaN"):
        stitcher.finish()


@pytest.mark.parametrize("full_at", range(1, 5))
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
        weights, memory = build_weights("gaussian", plan.size, 0.25), Memory(torch.device("cuda"), said.append)
        stitchers = [Stitcher(plan, weights, (0, 64), 1, memory) for _ in range(2)]
        for place in (place for places in plan.rows for place in places):
            for stitcher in stitchers:
                stitcher.add(place, windows)
        assert {band.device.type for stitcher in stitchers for band in stitcher._bands} == {"cpu"}
    assert len(said) == 1

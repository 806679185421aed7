import numpy as np
import pytest

from tessera.decide import histograms
from tessera.decide.blending import blend
from tessera.decide.histograms import counts_by_threshold, histogram, states
from tessera.decide.joint import LEVELS, coarse_histograms, joint_cells


def _maps(models: int, size: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps (M, 2, size, size) float32 of models that agree more or less, target and valid."""
    rng = np.random.default_rng(models)
    target, valid = rng.random((2, size, size)) < 0.3, rng.random((2, size, size)) < 0.8
    maps = np.where(target, 180, 60) + rng.normal(0, 50, (models, 2, size, size))
    return maps.clip(0, 255).astype(np.float32), target, valid


@pytest.mark.parametrize("models", [1, 3, 4, 5, 8])
def test_cells_hold_every_counted_pixel_once(models: int) -> None:
    maps, target, valid = _maps(models)
    for c, cells in enumerate(joint_cells(maps, states(target, valid))):
        assert cells.levels.shape == (models, len(cells.pixels)) and cells.levels.max() < LEVELS
        assert cells.pixels.sum() == valid[c].sum()
        assert cells.pixels[cells.positive].sum() == (target & valid)[c].sum()


def test_only_cells_that_hold_pixels_exist() -> None:
    maps = np.zeros((3, 1, 50, 50), np.float32)
    maps[:, 0, :10] = 255
    (cells,) = joint_cells(maps, states(maps[0] > 0, np.ones((1, 50, 50), bool)))
    assert sorted(cells.pixels) == [500, 2000]


@pytest.mark.parametrize("models", [2, 6])
def test_a_combination_is_counted_within_the_width_of_a_cell(models: int) -> None:
    """A level is at most 7 values wide: what the cells say of a threshold lies between what pixels say 4 to either side."""
    maps, target, valid = _maps(models)
    weights = np.random.default_rng(0).dirichlet(np.ones(models), 5)
    for c, cells in enumerate(joint_cells(maps, states(target, valid))):
        for row, coarse in zip(weights, counts_by_threshold(coarse_histograms(cells, weights)), strict=True):
            exact = counts_by_threshold(histogram(blend(maps, list(row)), target, valid))[c]
            for index, first in ((7, 8), (24, 72), (40, 184)):  # level → its first value
                assert (coarse[index - 1, :2] <= exact[first - 5, :2]).all()
                assert (coarse[index - 1, :2] >= exact[first + 3, :2]).all()


def test_a_single_model_is_exact_at_both_ends() -> None:
    maps, target, valid = _maps(1)
    whole = np.rint(maps)
    (cells, _) = joint_cells(whole, states(target, valid))
    coarse = counts_by_threshold(coarse_histograms(cells, np.ones((1, 1))))[0]
    exact = counts_by_threshold(histogram(whole[0].astype(np.uint8), target, valid))[0]
    np.testing.assert_array_equal(coarse[:16], exact[:16])
    np.testing.assert_array_equal(coarse[-16:], exact[-16:])


def test_large_rows_are_read_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, target, valid = _maps(3)
    whole = joint_cells(maps, states(target, valid))
    monkeypatch.setattr(histograms, "_EXACT", 3 * 40)
    for one, other in zip(joint_cells(maps, states(target, valid)), whole, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)

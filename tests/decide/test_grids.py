import numpy as np
import pytest
from searching import PLAIN, searching

from tessera.decide import tables
from tessera.decide.bootstrap import left_out_error
from tessera.decide.cuts.hysteresis import hysteresis_counts
from tessera.decide.fitting import Fitted, Option
from tessera.decide.grids import COARSE, DENSE, ROUNDS, finer
from tessera.decide.levels import Rule
from tessera.decide.tables import Mix, Tables
from tessera.metrics.counts import FScore
from tessera.metrics.surface import SurfaceDice

POOLED, PER_IMAGE = FScore("pooled", 1.0), FScore("per_image", 1.0)
SURFACE = SurfaceDice(1.0, "per_image", 1.0)


def _fit(memory_evidence: type, maps: np.ndarray, labels: np.ndarray, score: object, cut: str) -> Fitted:
    search, _ = searching(memory_evidence({"a": maps[:, None]}, labels), score, 1.0, cut)
    return search.fitting.fit(Option(("identity",), "probabilities", ("a",)), np.arange(len(labels)), PLAIN)


@pytest.mark.parametrize("cut", ["hysteresis", "triplet"])
@pytest.mark.parametrize("best", [1, 2, 6, 45, 130, 249, 254, 255])
def test_every_threshold_is_reached(memory_evidence: type, best: int, cut: str) -> None:
    """Positives lie just above it, negatives just below: the closer the nearer it is to an end."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (3, 20, 16)).astype(np.uint8)
    off = rng.integers(0, max(4, min(best, 255 - best) // 4), labels.shape)
    maps = np.where(labels == 1, best + off, best - 1 - off).clip(0, 255).astype(np.uint8)
    assert _fit(memory_evidence, maps, labels, POOLED, cut).score > 0.995


@pytest.mark.parametrize("score", [PER_IMAGE, SURFACE], ids=["counts", "masks"])
def test_areas_reach_beyond_false_blobs_of_any_size(memory_evidence: type, score: object) -> None:
    labels, maps = np.zeros((2, 4, 130, 120), np.uint8)
    labels[::2, 20:120, 10:110] = 1
    maps[::2, 20:120, 10:110] = 220  # 10000 px
    maps[1::2, 50:95, 50:95] = 225  # 2025 px
    assert _fit(memory_evidence, maps, labels, score, "threshold").score == 0.5
    assert _fit(memory_evidence, maps, labels, score, "triplet").score == 1


@pytest.mark.parametrize("score", [POOLED, SURFACE], ids=["counts", "masks"])
def test_shares_reach_down_to_few_pixels(memory_evidence: type, score: object) -> None:
    """Nine positives in 250,000 pixels, and twice as many a little less probable."""
    labels = np.zeros((2, 500, 500), np.uint8)
    labels[:, 100:103, 50:53] = 1
    maps = np.where(labels == 1, 200, 5).astype(np.uint8)
    maps[:, 300:303, 50:56] = 190
    assert _fit(memory_evidence, maps, labels, score, "quantile").score == 1


@pytest.mark.parametrize("cut", ["quantile", "triplet"])
def test_pixels_are_read_once_for_all_levels(memory_evidence: type, monkeypatch: pytest.MonkeyPatch, cut: str) -> None:
    read, blended = [], Tables._blended
    monkeypatch.setattr(Tables, "_blended", lambda self, mix, row: read.append(row) or blended(self, mix, row))
    labels = np.random.default_rng(0).integers(0, 2, (3, 20, 16)).astype(np.uint8)
    assert _fit(memory_evidence, 80 + 40 * labels, labels, POOLED, cut).score == 1
    assert sorted(read) == [0, 1, 2]


@pytest.mark.parametrize("cut", list(DENSE))
def test_options_are_told_apart_by_the_grid_alone(memory_evidence: type, cut: str) -> None:
    labels = np.random.default_rng(0).integers(0, 2, (4, 20, 16)).astype(np.uint8)
    search, _ = searching(memory_evidence({"a": 81 + 40 * labels[:, None]}, labels), POOLED, 1.0, cut)
    option, units = Option(("identity",), "probabilities", ("a",)), np.arange(4)
    search.fitting.crossfit(option, units, PLAIN)
    (read,) = search.tables._levels.values()
    assert set(read) == set(map(str, DENSE[cut]))
    search.fitting.fit(option, units, PLAIN)
    assert len(read) > len(DENSE[cut])


def test_an_exact_fit_serves_whoever_asks_for_it(memory_evidence: type) -> None:
    labels = np.random.default_rng(0).integers(0, 2, (4, 20, 16)).astype(np.uint8)
    search, _ = searching(memory_evidence({"a": 81 + 40 * labels[:, None]}, labels), POOLED, 1.0, "threshold")
    option, units = Option(("identity",), "probabilities", ("a",)), np.arange(4)
    assert search.fitting.fit(option, units, PLAIN, rounds=0) is search.fitting.fit(option, units, PLAIN)


def test_masks_that_are_alike_are_measured_once(memory_evidence: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 112 triplets, each is empty or what is at least so probable as one of seven bottoms."""
    measured, measure_unit = [], tables.measure_unit
    monkeypatch.setattr(tables, "measure_unit", lambda *given: measured.append(1) or measure_unit(*given))
    labels = np.random.default_rng(0).integers(0, 2, (3, 40, 50)).astype(np.uint8)
    search, _ = searching(memory_evidence({"a": 255 - 200 * labels[:, None]}, labels), SURFACE, 1.0, "triplet")
    search.tables.read([Mix(("identity",), "probabilities", (1.0,))], COARSE["triplet"])
    assert len(measured) == 3 * 3  # values are 55 and 255


@pytest.mark.parametrize("seed", range(3))
def test_pairs_are_the_best_of_all_there_are(memory_evidence: type, seed: int) -> None:
    """Blurred squares under noise, found with little confidence: all that matters is between 5 and 50."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((4, 12, 10)) < 0.2).astype(np.uint8).repeat(5, 1).repeat(5, 2)
    maps = (labels * 14 + rng.normal(12, 5, labels.shape)).clip(0, 255).astype(np.uint8)
    valid, pairs = np.ones((1, 60, 50), bool), [[low, high] for low in range(1, 60) for high in range(low, 256)]
    counts = sum(
        hysteresis_counts(one[None], of[None] == 1, valid, pairs) for one, of in zip(maps, labels, strict=True)
    )
    best = POOLED.finish(POOLED.statistics(counts)).max()
    assert _fit(memory_evidence, maps, labels, POOLED, "hysteresis").score == pytest.approx(best, abs=1e-3)


@pytest.mark.parametrize(("grids", "cut"), [(grids, cut) for grids in (COARSE, DENSE) for cut in grids])
def test_finer_levels_are_levels_of_the_cut_nearer_and_nearer(grids: dict[str, list], cut: str) -> None:
    grid = levels = grids[cut]
    assert grid == sorted(grid)
    for number in range(ROUNDS):
        found = finer(cut, grid, levels, [grid[0], grid[len(grid) // 2], grid[-1]], number)
        assert found == sorted(found) and len({str(one) for one in found}) == len(found)
        assert all(one in found for one in levels)
        levels = found
    values = np.array(levels).reshape(len(levels), -1)
    assert values.min() > 0 and values.max() <= {"quantile": 1, "triplet": 2**16}.get(cut, 255)
    if cut == "hysteresis":
        assert (values[:, 0] <= values[:, 1]).all()
    if cut == "triplet":
        assert (values[:, 2] <= values[:, 0]).all() and values[:, ::2].max() <= 255


def test_a_step_is_a_half_of_the_grids_then_a_quarter() -> None:
    grid = [8, 16, 32, 48, 240]
    steps = [[one for one in finer("threshold", grid, grid, [32], number) if one not in grid] for number in range(4)]
    assert steps == [[24, 40], [28, 36], [30, 34], [31, 33]]
    shares = [0.01, 0.04, 1.0]
    assert [one for one in finer("quantile", shares, shares, [0.04], 0) if one not in shares] == [0.02, 0.2]
    assert finer("threshold", grid, grid, [8], 3)[0] == 7  # by 1 at least


@pytest.mark.parametrize("cut", ["quantile", "hysteresis", "triplet"])
@pytest.mark.parametrize("name", ["plateau", "mean_of_folds"])
def test_a_rule_takes_no_pair_that_is_much_worse_than_the_best(memory_evidence: type, cut: str, name: str) -> None:
    """Blobs under noise, a third of the rows empty: no more than a standard error is lost."""
    rng = np.random.default_rng(0)
    labels = (rng.random((6, 8, 8)) < 0.2).astype(np.uint8).repeat(5, 1).repeat(5, 2)
    labels[::3] = 0
    maps = (60 + labels * 90 + rng.normal(0, 30, labels.shape)).clip(0, 255).astype(np.uint8)
    search, _ = searching(memory_evidence({"a": maps[:, None]}, labels, fold=np.arange(6) % 3), PER_IMAGE, 1.0, cut)
    option, units = Option(("identity",), "probabilities", ("a",)), np.arange(6)
    best, calm = (search.fitting.fit(option, units, Rule("", False, one, 0)) for one in ("max", name))
    statistics, groups = search.fitting.statistics(best, units, PLAIN), search.about.group.to_numpy()
    error = left_out_error(statistics, groups, lambda total: PER_IMAGE.finish(total).mean(-1))
    assert best.score - calm.score <= error

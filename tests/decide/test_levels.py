import numpy as np
import pandas as pd
import pytest

from tessera.decide.decision import EVERYWHERE
from tessera.decide.levels import Rule, Table, best_levels, choose_levels, nearest
from tessera.metrics.counts import FScore

PER_IMAGE, POOLED, F_HALF = FScore("per_image", 1.0), FScore("pooled", 1.0), FScore("pooled", 1.0, 0.5)
LEVELS = list(range(1, 256))


def _statistics(score: FScore, seed: int) -> np.ndarray:
    """(2 strata, 255, 1, K): few pixels a row, so that curves are rough."""
    rng = np.random.default_rng(seed)
    found = []
    for shift in (-40, 40):
        rows = []
        for _ in range(4):
            positive = rng.normal(140 + shift, 50, 12).clip(0, 255).astype(int)
            negative = rng.normal(110 + shift, 50, 30).clip(0, 255).astype(int)
            hits, misses = ([(values >= t).sum() for t in LEVELS] for values in (positive, negative))
            rows.append(np.stack([hits, misses, 12 - np.array(hits)], -1))
        found.append(score.statistics(np.stack(rows)).sum(0))
    return np.stack(found)[:, :, None]


def _best(statistics: np.ndarray, score: FScore) -> tuple[np.ndarray, float]:
    """The levels (S,) and their score."""
    chosen = best_levels(statistics, lambda sums: score.finish(sums).mean(-1))
    return chosen, float(score.finish(statistics[np.arange(len(statistics)), chosen].sum(0)).mean())


@pytest.mark.parametrize("seed", range(6))
def test_levels_of_two_strata_equal_brute_force_over_all_pairs(seed: int) -> None:
    statistics = _statistics(PER_IMAGE, seed)
    pairs = PER_IMAGE.finish(statistics[0][:, None] + statistics[1][None])
    assert _best(statistics, PER_IMAGE)[1] == pytest.approx(pairs.max(), abs=1e-12)


@pytest.mark.parametrize("score", [PER_IMAGE, POOLED, F_HALF])
@pytest.mark.parametrize("seed", range(6))
def test_levels_by_stratum_are_never_below_the_best_common_one(score: FScore, seed: int) -> None:
    statistics = _statistics(score, seed)
    found = _best(statistics, score)[1]
    assert found >= score.finish(statistics.sum(0)).max() - 1e-12
    if score is POOLED:
        pairs = score.finish(statistics[0][:, None] + statistics[1][None])
        assert found >= pairs.max() - 0.01  # coordinate ascent may stop short of the best pair, not far


def test_many_searches_at_once_are_the_same_as_one_by_one() -> None:
    several = np.stack([_statistics(POOLED, seed) for seed in range(5)])
    together = best_levels(several, lambda sums: POOLED.finish(sums).mean(-1))
    np.testing.assert_array_equal(together, [_best(one, POOLED)[0] for one in several])


def _table(hits: dict[str, np.ndarray]) -> tuple[Table, pd.DataFrame]:
    """Units u0, u1, … with these scores (units, L) in strata; score: their mean."""
    scores = np.concatenate(list(hits.values()))
    strata = [name for name, rows in hits.items() for _ in rows]
    about = pd.DataFrame({"group": [f"g{n}" for n in range(len(strata))], "stratum": strata, "fold": 0})
    statistics = np.stack([scores, np.ones_like(scores)], -1)[:, None]
    return Table(list(range(1, scores.shape[1] + 1)), statistics), about


def _chosen(
    hits: dict[str, np.ndarray], rule: Rule, folds: list[int] | None = None, levels: list | None = None
) -> dict[str, int]:
    table, about = _table(hits)
    table = table._replace(levels=levels or table.levels)
    about["fold"] = folds or 0
    found = choose_levels(table, about, rule, PER_IMAGE.finish, 0)
    return {name: table.levels[int(own[0])] for name, own in found.items()}


def _bell(middle: float, width: float = 20) -> np.ndarray:
    return np.exp(-(((np.arange(1, 101) - middle) / width) ** 2))


def test_of_equally_good_levels_the_middle_one_is_taken() -> None:
    scores = np.zeros((1, 100))
    scores[0, 20:61] = 1
    assert _chosen({"a": scores}, Rule("", False, "max", 0)) == {EVERYWHERE: 41}


def test_the_plateau_is_the_centre_of_what_is_one_standard_error_below_the_best() -> None:
    """Two groups score x and x + 0.2: the jackknife's error of their mean is 0.1. Levels 31…70 score 0.95…1 of the
    best, level 90 as well but apart from them: it does not count."""
    curve = np.full(100, 0.5)
    curve[30:70] = 0.95
    curve[33] = 1.0
    curve[89] = 0.99
    scores = np.stack([curve - 0.1, curve + 0.1])
    assert _chosen({"a": scores}, Rule("", False, "max", 0)) == {EVERYWHERE: 34}
    assert _chosen({"a": scores}, Rule("", False, "plateau", 0)) == {EVERYWHERE: 50}  # 31…70


GRID = sorted({*range(16, 256, 16), 120, 124, 126, 127, 129, 130, 132, 136})  # refined about 128
SHARES = np.geomspace(0.001, 1, 31).tolist()
PAIRS = [[low, high] for low in (10, 20, 30) for high in (100, 200)]
APART = np.array([1.0, 0.4, 0.2, 0.2, 0.97, 0.4])  # [10, 100] and [30, 100] are good, what is between them is not


@pytest.mark.parametrize(
    ("levels", "first", "last", "middle"), [(GRID, 112, 224, 160), (SHARES, SHARES[10], SHARES[20], SHARES[17])]
)
def test_the_centre_of_a_plateau_is_between_its_ends_however_its_levels_lie(
    levels: list, first: float, last: float, middle: float
) -> None:
    curve = np.where((np.array(levels) >= first) & (np.array(levels) <= last), 1.0, 0.5)
    scores = np.stack([curve - 0.1, curve + 0.1])
    assert _chosen({"a": scores}, Rule("", False, "plateau", 0), levels=levels) == {EVERYWHERE: middle}


def test_of_lists_that_are_good_one_is_taken_and_not_what_lies_between_them() -> None:
    scores = np.stack([APART - 0.1, APART + 0.1])
    assert _chosen({"a": scores}, Rule("", False, "plateau", 0), levels=PAIRS)[EVERYWHERE] in ([10, 100], [30, 100])
    folds = np.stack([APART, APART[[4, 1, 2, 3, 0, 5]], APART])  # the second one's best is [30, 100]
    assert _chosen({"a": folds}, Rule("", False, "mean_of_folds", 0), [0, 1, 2], PAIRS)[EVERYWHERE] == [10, 100]


def test_areas_are_near_by_their_ratio() -> None:
    triplets = [[100, area, 50] for area in (1, 16, 256, 4096, 65536)]
    assert triplets[int(nearest(triplets, [0, 4]))] == [100, 256, 50]


def test_a_single_group_has_no_plateau_but_the_best() -> None:
    assert _chosen({"a": _bell(34)[None]}, Rule("", False, "plateau", 0)) == {EVERYWHERE: 34}


def test_the_mean_of_folds() -> None:
    rows = np.stack([_bell(20), _bell(30), _bell(70)])
    assert _chosen({"a": rows}, Rule("", False, "mean_of_folds", 0), [0, 1, 2]) == {EVERYWHERE: 40}


def test_folds_on_which_all_levels_score_alike_do_not_count() -> None:
    """As where there are no positives. Of two strata one may tell levels apart where the other does not."""
    flat = np.zeros(100)
    rows, rule, folds = np.stack([_bell(20), _bell(30), flat]), Rule("", False, "mean_of_folds", 0), [0, 1, 2]
    assert _chosen({"a": rows}, rule, folds) == {EVERYWHERE: 25}
    assert _chosen({"a": rows[[2, 2, 2]]}, rule, folds) == _chosen({"a": rows[[2, 2, 2]]}, Rule("", False, "max", 0))
    strata = {"a": rows, "b": np.stack([flat, _bell(60), _bell(80)])}
    by_stratum = _chosen(strata, Rule("stratum", False, "mean_of_folds", 0), [0, 1, 2, 0, 1, 2])
    assert (by_stratum["a"], by_stratum["b"]) == (25, 70)


@pytest.mark.parametrize(("shrink", "expected"), [(0, 80), (2, 65), (6, 57), (1e9, 50)])
def test_a_stratum_is_shrunk_to_the_common_level_by_its_groups(shrink: float, expected: int) -> None:
    """Common 50, own 80, two groups: (2·80 + shrink·50) / (2 + shrink)."""
    rows = {"big": np.stack([_bell(50, 3)] * 20), "small": np.stack([_bell(80, 3)] * 2)}
    found = _chosen(rows, Rule("stratum", False, "max", shrink))
    assert found[EVERYWHERE] == found["big"] == 50
    assert found["small"] in (expected, expected + 1)


@pytest.mark.parametrize(("shrink", "expected"), [(0, [30, 100]), (1, [30, 100]), (6, [10, 100])])
def test_a_shrunk_list_is_no_worse_than_the_common_one(shrink: float, expected: list[int]) -> None:
    """Common [10, 100], own [30, 100], two groups; what lies between them is worse than both."""
    swapped = APART[[4, 1, 2, 3, 0, 5]]
    rows = {"big": np.stack([APART] * 20), "small": np.stack([swapped] * 2)}
    found = _chosen(rows, Rule("stratum", False, "max", shrink), levels=PAIRS)
    assert (found["big"], found["small"]) == ([10, 100], expected)


def test_classes_share_a_level_or_have_their_own() -> None:
    scores = np.stack([_bell(20, 60), _bell(60, 60)])[None]  # (1 unit, 2 classes, L)
    table = Table(list(range(1, 101)), np.stack([scores, np.ones_like(scores)], -1))
    about = pd.DataFrame({"group": ["g"], "stratum": [""], "fold": [0]})
    levels = {one: choose_levels(table, about, Rule("", one, "max", 0), PER_IMAGE.finish, 0) for one in (False, True)}
    assert (levels[False][EVERYWHERE] + 1).tolist() == [20, 60]
    assert (levels[True][EVERYWHERE] + 1).tolist() == [40, 40]


def test_the_nearest_of_levels_of_several_numbers() -> None:
    assert PAIRS[int(nearest(PAIRS, [0, 4]))] == [20, 100]

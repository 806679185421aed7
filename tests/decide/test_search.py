import math
import signal

import numpy as np
import pytest

from tessera.decide.decision import EVERYWHERE, Decision
from tessera.decide.search import Search, best_thresholds, simplex
from tessera.errors import InputError
from tessera.metrics.counts import FScore

PER_IMAGE, POOLED, F_HALF = FScore("per_image", 1.0), FScore("pooled", 1.0), FScore("pooled", 1.0, 0.5)


# The simplex of weights


@pytest.mark.parametrize(("models", "step"), [(1, 0.1), (2, 0.1), (3, 0.1), (3, 0.25), (4, 0.2), (2, 1.0)])
def test_weights_are_all_the_steps_that_sum_to_1(models: int, step: float) -> None:
    weights = simplex(models, step)
    parts = round(1 / step)
    assert weights.shape == (math.comb(parts + models - 1, models - 1), models)
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose(weights * parts, np.rint(weights * parts), atol=1e-9)
    assert len({tuple(row) for row in weights}) == len(weights)
    for model in range(models):
        assert (weights[:, model] == 1).sum() == 1


def test_too_many_combinations_are_refused() -> None:
    with pytest.raises(InputError, match=r"tune\.step 0\.02 over 4 models gives 23426 combinations"):
        simplex(4, 0.02)


def test_too_many_combinations_are_refused_without_making_them() -> None:
    def late(*_: object) -> None:
        raise TimeoutError("counting the combinations takes as long as making them")

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.5)
    try:
        with pytest.raises(InputError, match=r"tune\.step"):
            simplex(9, 0.1)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


# Thresholds


def _statistics(score: FScore, seed: int) -> np.ndarray:
    """(2 strata, 255, K): few pixels a row, so that curves are rough."""
    rng = np.random.default_rng(seed)
    found = []
    for shift in (-40, 40):
        rows = []
        for _ in range(4):
            positive = rng.normal(140 + shift, 50, 12).clip(0, 255).astype(int)
            negative = rng.normal(110 + shift, 50, 30).clip(0, 255).astype(int)
            hits, misses = ([(values >= t).sum() for t in range(1, 256)] for values in (positive, negative))
            rows.append(np.stack([hits, misses, 12 - np.array(hits)], -1))
        found.append(score.statistics(np.stack(rows)).sum(0))
    return np.stack(found)


def _score_of(statistics: np.ndarray, chosen: np.ndarray, score: FScore) -> float:
    return float(score.finish(statistics[np.arange(len(statistics)), chosen].sum(0)))


@pytest.mark.parametrize("seed", range(6))
def test_thresholds_of_two_strata_equal_brute_force_over_all_pairs(seed: int) -> None:
    statistics = _statistics(PER_IMAGE, seed)
    pairs = PER_IMAGE.finish(statistics[0][:, None] + statistics[1][None])
    chosen = best_thresholds(statistics, PER_IMAGE)
    assert _score_of(statistics, chosen, PER_IMAGE) == pytest.approx(pairs.max(), abs=1e-12)


@pytest.mark.parametrize("score", [PER_IMAGE, POOLED, F_HALF])
@pytest.mark.parametrize("seed", range(6))
def test_thresholds_by_stratum_are_never_below_the_best_common_one(score: FScore, seed: int) -> None:
    statistics = _statistics(score, seed)
    common = score.finish(statistics.sum(0)).max()
    found = _score_of(statistics, best_thresholds(statistics, score), score)
    assert found >= common - 1e-12
    if score is POOLED:
        pairs = score.finish(statistics[0][:, None] + statistics[1][None])
        assert found >= pairs.max() - 0.01  # coordinate ascent may stop short of the best pair, not far


def test_of_equally_good_thresholds_the_middle_one_is_taken() -> None:
    counts = np.zeros((1, 255, 3))
    counts[0, :, 0] = 1
    counts[0, :100, 1] = counts[0, 151:, 1] = 1  # perfect at the indices 100…150
    assert best_thresholds(POOLED.statistics(counts), POOLED).tolist() == [125]


# The whole search


def _plain(levels: dict[str, list], area: int) -> Decision:
    return Decision({"m": 1.0}, ["identity"], "probabilities", "threshold", "", levels, {"min_area": area})


def _planted(memory_evidence: type, thresholds: dict[str, int], seed: int = 0):
    """Rows of each stratum whose one perfect threshold is given; and a second model that is noise."""
    rng = np.random.default_rng(seed)
    strata = [name for name in thresholds for _ in range(3)]
    labels = rng.integers(0, 2, (len(strata), 20, 16)).astype(np.uint8)
    good = np.empty_like(labels)
    for row, name in enumerate(strata):
        t = thresholds[name]
        good[row] = np.where(
            labels[row] == 1, rng.integers(t, 256, labels[row].shape), rng.integers(0, t, labels[row].shape)
        )
        good[row, 0, :2], labels[row, 0, :2] = (t - 1, t), (0, 1)
    noise = rng.integers(0, 256, good.shape, np.uint8)
    return memory_evidence({"noise": noise[:, None], "good": good[:, None]}, labels, stratum=strata)


@pytest.mark.parametrize("score", [PER_IMAGE, POOLED, F_HALF])
def test_planted_thresholds_and_weights_are_found(memory_evidence: type, score: FScore) -> None:
    evidence = _planted(memory_evidence, {"kidney": 70, "liver": 190})
    search = Search(evidence, simplex(2, 0.25), "stratum", {}, score)
    rows = np.arange(6)
    decision = search.decide(rows)
    assert decision.weights == {"noise": 0.0, "good": 1.0}
    assert {name: decision.levels[name] for name in ("kidney", "liver")} == {"kidney": [70], "liver": [190]}
    assert score.of(search.count(decision, rows)) == 1
    common = Search(evidence, simplex(2, 0.25), "", {}, score)
    assert set(common.decide(rows).levels) == {EVERYWHERE}
    assert score.of(common.count(common.decide(rows), rows)) < 1


def test_a_stratum_never_seen_gets_the_best_common_threshold(memory_evidence: type) -> None:
    search = Search(_planted(memory_evidence, {"kidney": 70, "liver": 190}), simplex(2, 1), "stratum", {}, POOLED)
    seen = search.decide(np.arange(3))
    assert seen.levels == {"kidney": [70], EVERYWHERE: [70]}
    assert search.count(seen, np.arange(3, 6)).shape == (3, 1, 3)


def test_candidates_limit_the_weights(memory_evidence: type) -> None:
    weights = simplex(2, 0.25)
    search = Search(_planted(memory_evidence, {"kidney": 70}), weights, "", {}, POOLED)
    alone = np.flatnonzero(weights[:, 0] == 1)
    assert search.decide(np.arange(3), alone).weights == {"noise": 1.0, "good": 0.0}


@pytest.mark.parametrize("score", [PER_IMAGE, POOLED, F_HALF])
def test_the_decision_scores_best_of_all_thresholds_and_areas(memory_evidence: type, score: FScore) -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(np.array([0, 1, 255], np.uint8), (4, 12, 12), p=[0.6, 0.3, 0.1])
    maps = np.where(labels == 1, 150, 90)[:, None] + rng.integers(-60, 60, (4, 1, 12, 12))
    search = Search(
        memory_evidence({"m": maps.astype(np.uint8)}, labels), simplex(1, 1), "", {"min_area": [3, 6]}, score
    )
    rows = np.arange(4)
    decision = search.decide(rows)
    found = score.of(search.count(decision, rows))
    plain = [score.of(search.count(_plain({EVERYWHERE: [t]}, 0), rows)) for t in range(1, 256)]
    assert found >= max(plain) - 1e-12
    areas = [score.of(search.count(_plain(decision.levels, area), rows)) for area in (0, 3, 6)]
    assert found == pytest.approx(max(areas))


def test_weights_and_area_are_chosen_together(memory_evidence: type) -> None:
    """Alone, the second model loses to the first by its specks, and wins once they are removed."""
    labels = np.zeros((2, 20, 20), np.uint8)
    labels[:, 2:12, 2:12] = 1
    first, second = labels.copy(), labels.copy()
    first[:, 2:4, 2:12] = 0
    second[:, 14:19:2, ::2] = 1
    maps = {name: one[:, None] * 255 for name, one in (("first", first), ("second", second))}
    search = Search(memory_evidence(maps, labels), simplex(2, 1), "", {"min_area": [4]}, POOLED)
    assert search.decide(np.arange(2)).weights == {"first": 0.0, "second": 1.0}
    assert search.decide(np.arange(2)).steps == {"min_area": 4}


@pytest.mark.parametrize("areas", [[2, 8], [8, 2]])
def test_of_equally_good_areas_the_smallest_is_taken(memory_evidence: type, areas: list[int]) -> None:
    labels = np.zeros((2, 12, 12), np.uint8)
    labels[:, 2:9, 2:9] = 1
    search = Search(
        memory_evidence({"m": labels[:, None] * 255}, labels), simplex(1, 1), "", {"min_area": areas}, POOLED
    )
    assert search.decide(np.arange(2)).steps == {}

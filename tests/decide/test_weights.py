import math

import numpy as np
import pytest
from searching import PLAIN, searching

from tessera.decide.fitting import Option
from tessera.decide.levels import Rule
from tessera.decide.tables import Mix
from tessera.decide.weights import Combinations, simplex
from tessera.metrics.counts import FScore
from tessera.metrics.score import score_of
from tessera.metrics.surface import SurfaceDice

POOLED, PER_IMAGE = FScore("pooled", 1.0), FScore("per_image", 1.0)


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


def _evidence(memory_evidence: type, models: int, top: int, seed: int = 0):
    """Eight rows of models that err each in its own way; probabilities reach up to `top` of 255."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.array([0, 1, 255], np.uint8), (8, 48, 48), p=[0.6, 0.3, 0.1])
    maps = {
        f"m{number}": np.where(labels == 1, 0.7, 0.3) + (0.15 + 0.05 * number) * rng.normal(size=labels.shape)
        for number in range(models)
    }
    return memory_evidence(
        {name: (top * one).clip(0, 255).astype(np.uint8)[:, None] for name, one in maps.items()},
        labels,
        stratum=["k", "l"] * 4,
        fold=np.arange(8) % 4,
    )


@pytest.mark.parametrize("rule", [PLAIN, Rule("stratum", False, "max", 0), Rule("", True, "max", 0)])
@pytest.mark.parametrize("score", [POOLED, PER_IMAGE])
@pytest.mark.parametrize(("models", "step", "top"), [(2, 0.1, 255), (3, 0.1, 255), (3, 0.1, 12), (5, 0.25, 255)])
def test_the_best_of_all_combinations_is_found(
    memory_evidence: type, models: int, step: float, top: int, score: FScore, rule: Rule
) -> None:
    """top 12: the best threshold is near 6 of 255."""
    search, free = searching(_evidence(memory_evidence, models, top), score, step)
    fitting, units = search.fitting, np.arange(8)
    fitted = fitting.fit(Option(("identity",), "probabilities", free.models), units, rule)
    every = [Mix(("identity",), "probabilities", tuple(map(float, one))) for one in fitting.weights]
    exact = [fitting._fit_levels(mix, units, rule, 0).score for mix in every]
    assert fitted.score == pytest.approx(max(exact), abs=1e-12)
    if models > 2:
        assert len(fitting.tables.histograms) == len(every)  # by this test
        again, _ = searching(search.evidence, score, step)
        again.fitting.fit(Option(("identity",), "probabilities", free.models), units, rule)
        assert len(again.tables.histograms) < len(every) / 2


def test_levels_as_wide_as_each_other_are_wrong_where_the_threshold_is_extreme(memory_evidence: type) -> None:
    """The example that asks for an exact look: 64 equal levels see 4 values as one, the best threshold is 6 of 255."""
    evidence = _evidence(memory_evidence, 3, 12)
    wide = {name: {"identity": evidence._maps[name]["identity"] // 4 * 4} for name in evidence.models}
    coarse = type(evidence)(wide, evidence._labels, stratum=["k", "l"] * 4)
    option, units = Option(("identity",), "probabilities", tuple(evidence.models)), np.arange(8)
    searches = [searching(one, POOLED, 0.1)[0] for one in (evidence, coarse)]
    exact, alone = (one.fitting.fit(option, units, PLAIN) for one in searches)
    real = score_of(POOLED, searches[0].fitting.statistics(alone, units, PLAIN))
    assert exact.score > real + 0.01


def test_only_the_options_models_weigh(memory_evidence: type) -> None:
    search, _ = searching(_evidence(memory_evidence, 3, 255), POOLED, 0.25)
    mix = search.fitting.fit(Option(("identity",), "probabilities", ("m0", "m2")), np.arange(8), PLAIN).mix
    assert mix.weights[1] == 0 and sum(mix.weights) == 1


def test_a_score_that_needs_masks_is_stood_in_for_by_dice(memory_evidence: type) -> None:
    evidence = _evidence(memory_evidence, 2, 255)
    search, _ = searching(evidence, SurfaceDice(1.0, "per_image", 1.0), 0.5)
    coarse = Combinations(search.tables, simplex(2, 0.5), ("identity",), "probabilities")
    assert coarse.score == POOLED


@pytest.mark.parametrize("score", [POOLED, PER_IMAGE])
def test_what_is_held_grows_with_folds_or_groups_and_not_with_their_rows(memory_evidence: type, score: FScore) -> None:
    """Of four folds those are what no search parts, of fewer their groups; scores are the same."""
    evidence = _evidence(memory_evidence, 2, 255)
    together = type(evidence)(
        {name: one["identity"] for name, one in evidence._maps.items()}, evidence._labels,
        stratum=["k", "l"] * 4, group=["a", "b"] * 4, fold=[0, 1] * 4,
    )  # fmt: skip
    rule, weights, units = Rule("stratum", False, "max", 0), simplex(2, 0.25), np.arange(8)
    found = []
    for one, blocks in ((evidence, 4), (together, 2)):
        tables = searching(one, score)[0].tables
        coarse = Combinations(tables, weights, ("identity",), "probabilities")
        about = tables.units.about
        found.append([coarse.scores(some, about.loc[some], rule, np.arange(5)) for some in (units, units[1::2])])
        assert coarse.statistics.shape[1] == blocks
    np.testing.assert_allclose(*found, rtol=1e-5)
    with pytest.raises(AssertionError, match="as a whole"):
        coarse.scores(units[:1], about.loc[units[:1]], rule, np.arange(5))

from dataclasses import replace

import numpy as np
import pytest
from searching import PLAIN, searching

from tessera.decide.decision import EVERYWHERE, Decision
from tessera.decide.levels import Rule
from tessera.decide.search import Freedoms, Search
from tessera.metrics.counts import FScore
from tessera.metrics.score import score_of
from tessera.metrics.surface import SurfaceDice, UWMadison
from tessera.tasks import Multilabel

PER_IMAGE, POOLED, F_HALF = FScore("per_image", 1.0), FScore("pooled", 1.0), FScore("pooled", 1.0, 0.5)
BY_STRATUM = Rule("stratum", False, "max", 0)


def _score(search: Search, decision: Decision, units: np.ndarray) -> float:
    return score_of(search.score, search.tables.measure(decision, units))


def _blobs(rows: int, size: int = 24, seed: int = 0) -> np.ndarray:
    """Labels (rows, size, size): a square each, of which some pixels are not counted."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((rows, size, size), np.uint8)
    for label, y, x in zip(labels, *rng.integers(1, size - 13, (2, rows)), strict=True):
        label[y : y + 10, x : x + 10] = 1
    labels[:, -1] = 255
    return labels


def _noisy(labels: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """Maps (rows, 1, H, W) that are right but for noise (of 255)."""
    rng = np.random.default_rng(seed)
    return (np.where(labels == 1, 170, 85) + rng.normal(0, noise, labels.shape)).clip(0, 255).astype(np.uint8)[:, None]


# Levels


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
    evidence, units = _planted(memory_evidence, {"kidney": 70, "liver": 190}), np.arange(6)
    search, free = searching(evidence, score, 0.25, rule=BY_STRATUM)
    decision, tried = search.decide(units, free)
    assert decision.weights == {"noise": 0.0, "good": 1.0}
    assert {name: decision.levels[name] for name in ("kidney", "liver")} == {"kidney": [70], "liver": [190]}
    assert _score(search, decision, units) == 1
    assert [(one.name, one.kept) for one in tried] == [("noise", False)]
    common, _ = search.decide(units, replace(free, rule=PLAIN))
    assert set(common.levels) == {EVERYWHERE}
    assert _score(search, common, units) < 1


def test_a_stratum_never_seen_gets_the_best_common_threshold(memory_evidence: type) -> None:
    evidence = _planted(memory_evidence, {"kidney": 70, "liver": 190})
    search, free = searching(evidence, POOLED, rule=BY_STRATUM)
    seen, _ = search.decide(np.arange(3), free)
    assert seen.levels == {"kidney": [70], EVERYWHERE: [70]}
    assert search.tables.measure(seen, np.arange(3, 6)).shape == (3, 1, 3)


@pytest.mark.parametrize("cut", ["threshold", "quantile", "hysteresis", "triplet"])
@pytest.mark.parametrize("score", [POOLED, SurfaceDice(1.0, "per_image", 1.0)], ids=["counts", "masks"])
def test_the_score_of_the_table_is_that_of_the_masks(memory_evidence: type, cut: str, score: object) -> None:
    """For every cut, whether histograms serve or masks are measured; the levels are near the best of all there are."""
    labels = _blobs(4)
    evidence = memory_evidence({"a": _noisy(labels, 40, 0)}, labels, stratum=["x", "y"] * 2)
    search, free = searching(evidence, score, 1.0, cut, BY_STRATUM)
    units = np.arange(4)
    option = search._base(units, free)
    fitted = search.fitting.fit(option, units, free.rule)
    decision = search.fitting.decision(fitted, free.rule)
    assert fitted.score == pytest.approx(_score(search, decision, units), abs=1e-12)
    assert set(decision.levels) == {"x", "y", EVERYWHERE}
    thresholds = [
        _score(search, replace(decision, cut="threshold", by="", levels={EVERYWHERE: [level]}), units)
        for level in range(5, 256, 5)
    ]
    assert fitted.score > max(thresholds) - 0.03


def test_classes_have_their_own_levels_unless_one_is_asked_for(memory_evidence: type) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (4, 16, 16, 2)).astype(np.uint8)
    truth = np.moveaxis(labels, -1, 1)
    maps = np.where(truth == 1, np.array([90, 220])[:, None, None], np.array([40, 150])[:, None, None])
    evidence = memory_evidence({"a": maps.astype(np.uint8)}, labels)
    evidence.task = Multilabel(["a", "b"])
    search, free = searching(evidence, POOLED, 1.0)
    own, _ = search.decide(np.arange(4), free)
    assert 40 < own.levels[EVERYWHERE][0] <= 90 < 150 < own.levels[EVERYWHERE][1] <= 220
    shared, _ = search.decide(np.arange(4), replace(free, rule=Rule("", True, "max", 0)))
    assert len(set(shared.levels[EVERYWHERE])) == 1


def test_ignored_pixels_change_nothing(memory_evidence: type) -> None:
    labels = _blobs(6)
    maps = {name: _noisy(labels, 60, seed) for seed, name in enumerate("ab")}
    scrambled = {name: one.copy() for name, one in maps.items()}
    for one in scrambled.values():
        one[:, :, -1] = np.random.default_rng(9).integers(0, 256, one[:, :, -1].shape)
    found = []
    for some in (maps, scrambled):
        search, free = searching(memory_evidence(some, labels, fold=np.arange(6) % 3), POOLED, 0.25)
        decision, tried = search.decide(np.arange(6), free, asked=True)
        found.append((decision, tried, search.tables.measure(decision, np.arange(6)).tolist()))
    assert found[0] == found[1]


# What is kept


def _decide(evidence: object, score: object = POOLED, **changes: object) -> tuple[Decision, dict[str, bool]]:
    search, free = searching(evidence, score, 0.5, **changes)
    decision, tried = search.decide(np.arange(len(search.about)), free, asked=True)
    return decision, {one.name: one.kept for one in tried}


def test_a_useful_view_is_kept_and_a_useless_one_dropped(memory_evidence: type) -> None:
    labels = _blobs(12)
    views = {"identity": _noisy(labels, 60, 0), "useful": _noisy(labels, 60, 1), "useless": _noisy(labels, 250, 2)}
    decision, kept = _decide(memory_evidence({"a": views}, labels))
    assert decision.views == ["identity", "useful"]
    assert kept == {"useful": True, "useless": False, "without identity": False}


def test_the_first_view_goes_where_the_others_are_better_off_without_it(memory_evidence: type) -> None:
    labels = _blobs(12)
    views = {"identity": _noisy(labels, 250, 0), "useful": _noisy(labels, 40, 1)}
    decision, kept = _decide(memory_evidence({"a": views}, labels))
    assert decision.views == ["useful"]
    assert kept == {"useful": True, "without identity": True}


def test_a_useful_model_is_kept_and_a_useless_one_dropped(memory_evidence: type) -> None:
    labels = _blobs(12)
    maps = {"useless": _noisy(labels, 250, 2), "best": _noisy(labels, 60, 0), "useful": _noisy(labels, 65, 1)}
    decision, kept = _decide(memory_evidence(maps, labels))
    assert decision.weights == {"useless": 0.0, "best": 0.5, "useful": 0.5}
    assert kept == {"useful": True, "useless": False}


def test_a_blend_of_ranks_is_kept_where_models_are_sure_to_different_degrees(memory_evidence: type) -> None:
    """Both models rank pixels equally well; the second one says it in a third of the values, so that it weighs less."""
    labels = _blobs(12)
    maps = {"a": _noisy(labels, 60, 0), "b": _noisy(labels, 60, 1) // 4}
    decision, kept = _decide(memory_evidence(maps, labels), blends=("probabilities", "ranks"))
    assert kept == {"a": True, "ranks": True}  # b is a bit better
    assert decision.blend == "ranks"


def test_a_useful_step_is_kept_and_a_useless_one_dropped(memory_evidence: type) -> None:
    """Specks of false positives go by their area; no hole is there to fill, and nothing is a class of few pixels."""
    labels = _blobs(12, 32)
    maps = labels.clip(0, 1) * np.uint8(255)
    maps[:, 26:30:2, ::3] = 255
    evidence = memory_evidence({"a": maps[:, None]}, labels)
    decision, kept = _decide(evidence, steps={"fill_holes": [4], "min_area": [2, 50], "gate": [300]})
    assert decision.steps == {"min_area": 2}  # of equals the first
    assert kept["min_area"] and not kept["fill_holes"] and not kept["gate"]


@pytest.mark.parametrize("groups", [1, 2])
def test_what_two_groups_agree_on_is_added_and_nothing_where_none_can_be_held_out(
    memory_evidence: type, groups: int
) -> None:
    labels = _blobs(groups)
    maps = {"a": {"identity": _noisy(labels, 60, 0), "flip": _noisy(labels, 60, 1)}}
    search, free = searching(memory_evidence(maps, labels), POOLED, steps={"min_area": [2]})
    decision, tried = search.decide(np.arange(groups), free)
    assert decision.views == ["identity", "flip"][:groups]
    assert bool(tried) == (groups == 2)


def test_a_decision_depends_on_its_units_alone(memory_evidence: type) -> None:
    """The labels of all others are swapped for noise: what was decided without them stays."""
    labels = _blobs(12)
    maps = {"a": {"identity": _noisy(labels, 60, 0), "flip": _noisy(labels, 60, 1)}, "b": {}}
    maps["b"] = {view: _noisy(labels, 70, seed) for seed, view in enumerate(("identity", "flip"), 5)}
    other = labels.copy()
    other[9:] = np.random.default_rng(0).integers(0, 2, other[9:].shape)
    units, found = np.arange(9), []
    for truth in (labels, other):
        search, free = searching(
            memory_evidence(maps, truth, fold=np.arange(12) // 3), POOLED, steps={"min_area": [2, 8]}
        )
        found.append(search.decide(units, free))
    assert found[0] == found[1]


# Units


def test_a_score_of_whole_volumes_is_searched_over_volumes(memory_evidence: type) -> None:
    labels = _blobs(12)
    items = [f"v{row // 3}" for row in range(12)]
    evidence = memory_evidence(
        {"a": _noisy(labels, 60, 0), "b": _noisy(labels, 60, 1)}, labels, item=items, group=items, z=np.arange(12) % 3
    )
    search, free = searching(evidence, UWMadison(), 0.5)
    assert search.about.name.tolist() == ["v0", "v1", "v2", "v3"]
    units = np.arange(4)
    decision, _ = search.decide(units, free)
    statistics = search.tables.measure(decision, units)
    masks = dict(evidence.masks(decision))
    for unit in units:
        rows = range(3 * unit, 3 * unit + 3)
        truth = [np.stack(planes, 1) for planes in zip(*map(evidence.truth, rows), strict=True)]
        expected = search.score.measure(np.stack([masks[row] for row in rows], 1), *truth, (1.0, 1.0, 1.0))
        np.testing.assert_allclose(statistics[unit], expected)


def test_freedoms_of_one_model_take_the_best_one(memory_evidence: type) -> None:
    labels = _blobs(6)
    evidence = memory_evidence({"bad": _noisy(labels, 200, 0), "good": _noisy(labels, 60, 1)}, labels)
    search, free = searching(evidence, POOLED, 0.5)
    assert isinstance(free, Freedoms)
    decision, tried = search.decide(np.arange(6), replace(free, several=False))
    assert decision.weights == {"bad": 0.0, "good": 1.0} and tried == []


@pytest.mark.parametrize("before", [{}, {"gate": 40}])
@pytest.mark.parametrize("step", ["gate", "fill_holes", "split", "min_area", "min_area_um2", "largest", "min_volume"])
def test_the_values_of_a_step_take_one_pass_and_score_what_their_masks_score(
    memory_evidence: type, step: str, before: dict
) -> None:
    labels = _blobs(4)
    items = {"item": ["v", "v", "w", "w"], "z": [0, 1, 0, 1], "stratum": ["x", "y"] * 2, "pixel_size": [1.0, 1.5] * 2}
    evidence = memory_evidence({"a": _noisy(labels, 60, 0)}, labels, **items)
    levels = {"x": [110], "y": [130], EVERYWHERE: [120]}
    decision = Decision({"a": 1.0}, ["identity"], "probabilities", "threshold", "stratum", levels, before)
    (tables, fresh), units = (searching(evidence, PER_IMAGE)[0].tables for _ in range(2)), np.array([3, 1, 2])
    options = tables.with_values(decision, step, [2, 9, 60], units)
    assert [one.steps for one in options] == [before | {step: value} for value in (2, 9, 60)]
    if step != "split" and step not in before:
        tables.evidence = memory_evidence({}, labels)  # nothing is read again
    for option in options:
        np.testing.assert_array_equal(tables.measure(option, units), fresh.measure(option, units))


def test_a_step_before_those_of_the_decision_is_measured_by_masks(memory_evidence: type) -> None:
    """A ring is larger than a square only once it is filled, which comes before the search for the largest object."""
    labels = np.zeros((1, 8, 12), np.uint8)
    labels[0, 1:5, 1:5] = 1
    maps = labels * np.uint8(255)
    maps[0, 2:4, 2:4] = 0  # 12 px around 4
    maps[0, 1:3, 6:] = 255  # 12 px
    maps[0, 3, 6] = 255
    evidence = memory_evidence({"a": maps[:, None]}, labels)
    decision = Decision({"a": 1.0}, ["identity"], "probabilities", "threshold", "", {EVERYWHERE: [120]}, {"largest": 1})
    tables, unit = searching(evidence, POOLED)[0].tables, np.arange(1)
    options = tables.with_values(decision, "fill_holes", [1, 4], unit)
    assert [score_of(POOLED, tables.measure(option, unit)) for option in options] == [0, 1]

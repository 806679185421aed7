import numpy as np
import pandas as pd
import pytest
from searching import searching

from tessera.decide.decision import EVERYWHERE, Decision
from tessera.decide.thresholds import offer_strata, offer_views, score_curves
from tessera.metrics.counts import FScore
from tessera.metrics.score import score_of
from tessera.metrics.surface import SurfaceDice
from tessera.tasks import Multilabel


def _rows(*strata: str) -> pd.DataFrame:
    return pd.DataFrame({"row_id": [f"r{number}" for number in range(len(strata))], "stratum": strata})


@pytest.mark.parametrize(
    ("oof", "test", "by", "noted"),
    [
        ("kl", "kl", "stratum", False),
        ("kl", "k", "stratum", False),
        ("kl", "", "stratum", False),
        ("kl", "kx", "stratum", True),
        ("k", "kl", "stratum", True),
        ("kl", "xy", "", True),
    ],
)
def test_levels_by_stratum_need_a_test_row_with_a_known_one(oof: str, test: str, by: str, noted: bool) -> None:
    found, notes = offer_strata("per_stratum", _rows(*oof), _rows(*test))
    assert found == by
    assert bool(notes) is noted


def test_rows_of_an_unknown_stratum_are_counted_and_take_the_common_levels() -> None:
    for oof in (_rows("k"), _rows("k", "")):
        offered, (note,) = offer_strata("per_stratum", oof, _rows("k", "", "x"))
        assert offered == "stratum"
        assert note.startswith(
            "2 of 3 test rows have no known stratum (the first is r1): they are cut at the levels common"
        )
        assert note.endswith("out-of-fold rows without one") is (len(oof) == 2)


def test_levels_that_are_not_offered_are_still_those_of_classes() -> None:
    offered, (note,) = offer_strata("per_stratum", _rows("k", ""), _rows("", "x"))
    assert offered == ""
    assert "2 of 2 test rows have no known stratum" in note
    assert note.endswith("each class has the same level in all rows")


def test_common_thresholds_need_no_excuse() -> None:
    assert offer_strata("per_class", _rows("k"), _rows("x")) == ("", [])


def test_thresholds_by_domain_ask_for_the_domain() -> None:
    oof, test = (_rows("k").rename(columns={"stratum": "domain"}) for _ in range(2))
    assert offer_strata("per_domain", oof, test) == ("domain", [])
    assert "no known domain" in offer_strata("per_domain", oof, test.assign(domain=""))[1][0]


def _decision(weights: dict[str, float], level: int = 128) -> Decision:
    return Decision(weights, ["identity"], "probabilities", "threshold", "", {EVERYWHERE: [level]}, {})


@pytest.mark.parametrize("cut", ["threshold", "quantile"])
@pytest.mark.parametrize("average", ["pooled", "per_image"])
def test_curves_are_the_scores_at_every_threshold(memory_evidence: type, average: str, cut: str) -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(np.array([0, 1, 255], np.uint8), (4, 7, 7))
    maps = {name: rng.integers(0, 256, (4, 1, 7, 7), np.uint8) for name in "ab"}
    evidence = memory_evidence(maps, labels, stratum=["k", "k", "l", ""])
    search, _ = searching(evidence, FScore(average, 1.0), 0.5, cut)
    curves = score_curves(search, _decision({"a": 0.5, "b": 0.5}))
    assert set(curves) == {EVERYWHERE, "k", "l"}
    for name, units in ((EVERYWHERE, [0, 1, 2, 3]), ("k", [0, 1]), ("l", [2])):
        for level in (1, 50, 128, 255):
            found = search.tables.measure(_decision({"a": 0.5, "b": 0.5}, level), np.array(units))
            assert curves[name][0][level - 1] == pytest.approx(score_of(search.score, found))


def test_a_score_that_needs_masks_has_a_curve_as_well(memory_evidence: type) -> None:
    labels = np.zeros((2, 12, 12), np.uint8)
    labels[:, 3:9, 3:9] = 1
    search, _ = searching(memory_evidence({"a": labels[:, None] * 160}, labels), SurfaceDice(0.0, "per_image", 1.0))
    (curve,) = score_curves(search, _decision({"a": 1.0}))[EVERYWHERE]
    assert len(curve) == 255 and curve[:160] == [1.0] * 160 and curve[200:] == [0.0] * 55


def test_each_class_has_its_curve(memory_evidence: type) -> None:
    """The first class is found at every threshold up to 200, the second up to 50; their mean is the score."""
    labels = np.ones((2, 5, 6, 2), np.uint8)
    evidence = memory_evidence({"m": np.full((2, 2, 5, 6), [[[200]], [[50]]], np.uint8)}, labels)
    evidence.task = Multilabel(["a", "b"])
    curves = score_curves(searching(evidence, FScore("pooled", 1.0))[0], _decision({"m": 1.0}))
    assert curves == {EVERYWHERE: [[1.0] * 200 + [0.0] * 55, [1.0] * 50 + [0.0] * 205]}


def test_merged_views_cannot_be_chosen_which_is_said() -> None:
    views = ["identity", "flip_h"]
    assert offer_views(views, views) == []
    (said,) = offer_views(views, ["merged"])
    assert "identity, flip_h" in said and "predict.store merged" in said

import numpy as np
import pandas as pd
import pytest

from tessera.decide.decision import EVERYWHERE, Decision
from tessera.decide.search import Search, simplex
from tessera.decide.thresholds import offer_strata, score_curves
from tessera.metrics.counts import FScore
from tessera.tasks import Multilabel


def _rows(*strata: str) -> pd.DataFrame:
    return pd.DataFrame({"row_id": [f"r{number}" for number in range(len(strata))], "stratum": strata})


@pytest.mark.parametrize(
    ("oof", "test", "offered"),
    [("kl", "kl", True), ("kl", "k", True), ("kl", "", True), ("kl", "kx", False), ("k", "kl", False)],
)
def test_thresholds_by_stratum_need_every_test_row_to_have_a_known_one(oof: str, test: str, offered: bool) -> None:
    found, notes = offer_strata("per_stratum", _rows(*oof), _rows(*test))
    assert found == ("stratum" if offered else "")
    assert bool(notes) is not offered


def test_an_unknown_stratum_is_told_with_its_first_row() -> None:
    for oof in (_rows("k"), _rows("k", "")):
        offered, (note,) = offer_strata("per_stratum", oof, _rows("k", "", "x"))
        assert offered == ""
        assert "2 of 3 test rows" in note
        assert "r1" in note


def test_common_thresholds_need_no_excuse() -> None:
    assert offer_strata("per_class", _rows("k"), _rows("x")) == ("", [])


def test_thresholds_by_domain_ask_for_the_domain() -> None:
    oof, test = (_rows("k").rename(columns={"stratum": "domain"}) for _ in range(2))
    assert offer_strata("per_domain", oof, test) == ("domain", [])
    assert "no known domain" in offer_strata("per_domain", oof, test.assign(domain=""))[1][0]


@pytest.mark.parametrize("average", ["pooled", "per_image"])
def test_curves_are_the_scores_at_every_threshold(memory_evidence: type, average: str) -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(np.array([0, 1, 255], np.uint8), (4, 7, 7))
    maps = {name: rng.integers(0, 256, (4, 1, 7, 7), np.uint8) for name in "ab"}
    search = Search(
        memory_evidence(maps, labels, stratum=["k", "k", "l", ""]), simplex(2, 0.5), "stratum", {}, FScore(average, 1.0)
    )
    curves = score_curves(search, {"weights": {"a": 0.5, "b": 0.5}})
    assert set(curves) == {EVERYWHERE, "k", "l"}
    for name, rows in ((EVERYWHERE, [0, 1, 2, 3]), ("k", [0, 1]), ("l", [2])):
        for threshold in (1, 50, 128, 255):
            decision = Decision(
                {"a": 0.5, "b": 0.5}, ["identity"], "probabilities", "threshold", "", {EVERYWHERE: [threshold]}, {}
            )
            expected = search.score.of(search.count(decision, np.array(rows)))
            assert curves[name][0][threshold - 1] == pytest.approx(expected)


def test_each_class_has_its_curve(memory_evidence: type) -> None:
    """The first class is found at every threshold up to 200, the second up to 50; their mean is the score."""
    labels = np.ones((2, 5, 6, 2), np.uint8)
    evidence = memory_evidence({"m": np.full((2, 2, 5, 6), [[[200]], [[50]]], np.uint8)}, labels)
    evidence.task = Multilabel(["a", "b"])
    curves = score_curves(Search(evidence, simplex(1, 1), "", {}, FScore("pooled", 1.0)), {"weights": {"m": 1.0}})
    assert curves == {EVERYWHERE: [[1.0] * 200 + [0.0] * 55, [1.0] * 50 + [0.0] * 205]}

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from searching import searching

from tessera.decide.decision import EVERYWHERE, Decision
from tessera.decide.holdouts import holdouts
from tessera.decide.honest import doubts, evaluate, unlike_whole_rows, unmeasured
from tessera.decide.levels import Rule
from tessera.decide.search import Freedoms, Search
from tessera.decide.stability import stability
from tessera.decide.verdict import outscored, verdict
from tessera.metrics.counts import FScore
from tessera.metrics.score import score_of

BY_STRATUM = Rule("stratum", False, "max", 0)
KEYS = (("by_fold", "fold"), ("by_stratum", "stratum"), ("by_domain", "domain"), ("by_group", "group"))


def _noise(memory_evidence: type, seed: int, average: str, **columns: object) -> tuple[Search, Freedoms]:
    """Twelve rows whose probabilities know nothing of the truth."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.array([0, 1, 255], np.uint8), (12, 8, 8), p=[0.75, 0.15, 0.1])
    maps = {name: {view: rng.integers(0, 256, (12, 1, 8, 8), np.uint8) for view in ("one", "two")} for name in "ab"}
    given = {
        "fold": np.arange(12) % 3, "group": [f"g{row // 2}" for row in range(12)], "stratum": list("xy" * 6),
        "domain": list("ddde" * 3),
    }  # fmt: skip
    return searching(
        memory_evidence(maps, labels, **given | columns), FScore(average, 1.0), 0.25,
        rule=BY_STRATUM, steps={"min_area": [2, 4]}, keep_gain=0.0,
    )  # fmt: skip


def test_on_noise_the_honest_score_stays_at_chance_while_the_optimistic_one_rises(memory_evidence: type) -> None:
    """Chance: the best that a decision can do on noise is to say that all is positive. Rows of their own groups whose
    share of positive pixels differs tempt a search to tell them apart by what is noise."""
    optimistic, honest, chance = [], [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        labels = (rng.random((12, 6, 6)) < 0.25).astype(np.uint8)
        maps = {name: rng.integers(0, 256, (12, 1, 6, 6), np.uint8) for name in "ab"}
        evidence = memory_evidence(maps, labels, fold=np.arange(12) % 4, stratum=list("wxyz" * 3))
        search, free = searching(evidence, FScore("pooled", 1.0), 0.5, rule=BY_STRATUM, keep_gain=0.0)
        said = evaluate(search, free, 100, 0)
        everything = Decision({"a": 1.0}, ["identity"], "probabilities", "threshold", "", {EVERYWHERE: [1]}, {})
        chance.append(score_of(search.score, search.tables.measure(everything, np.arange(12))))
        optimistic.append(said["optimistic"] - chance[-1])
        honest.append(said["crossfitted"] - chance[-1])
    assert min(optimistic) > 0 and np.mean(optimistic) > 0.01
    assert np.mean(honest) < 0.005


@pytest.mark.parametrize("average", ["pooled", "per_image"])
def test_both_scores_are_those_of_the_decisions_that_are_told(memory_evidence: type, average: str) -> None:
    search, free = _noise(memory_evidence, 0, average)
    said = json.loads(json.dumps(evaluate(search, free, 100, 0)))
    about, rows = search.about, search.evidence.rows
    everything = about.index.to_numpy()
    found = search.tables.measure(Decision(**said["decision"]), everything)
    assert score_of(search.score, found) == pytest.approx(said["optimistic"])
    number = {name: row for row, name in rows.row_id.items()}
    crossed = np.empty_like(found)
    for one in said["holdouts"]:
        out = np.array([number[name] for name in one["rows"]])
        crossed[out] = search.tables.measure(Decision(**one["decision"]), out)
        again, _ = search.decide(np.setdiff1d(everything, out), free)  # decided on the other rows alone
        assert one["decision"] == asdict(again)
    np.testing.assert_array_equal(crossed, said["statistics"])
    assert score_of(search.score, crossed) == pytest.approx(said["crossfitted"])
    assert said["interval"][0] <= said["crossfitted"] <= said["interval"][1]
    assert said["spread"] == pytest.approx(max(said["by_fold"].values()) - min(said["by_fold"].values()))
    for key, column in KEYS:
        for name, value in said[key].items():
            assert value == pytest.approx(
                score_of(search.score, crossed[(about[column].astype(str) == name).to_numpy()])
            )


def test_too_few_groups_have_no_honest_score_but_a_reason(memory_evidence: type) -> None:
    search, free = _noise(memory_evidence, 0, "pooled", fold=0, group=["g", "h"] * 6)
    said = evaluate(search, free, 100, 0)
    assert said["crossfitted"] is None
    assert "2 group(s)" in said["reason"]
    assert set(said["by_group"]) == {"g", "h"}
    whole = verdict(search, free, 100, 0)
    assert whole["other"] is None and whole["shake_up"] is None and outscored(whole) == []


# What is said beside the scores


def test_the_ladder_adds_a_freedom_a_step(memory_evidence: type) -> None:
    search, free = _noise(memory_evidence, 1, "pooled")
    said = json.loads(json.dumps(verdict(search, free, 100, 0)))
    assert [row["what"] for row in said["ladder"]] == ["single model", "+ TTA", "+ ensemble", "+ rule"]
    assert said["ladder"][-1]["crossfitted"] == said["ensemble"]["crossfitted"]
    for before, row in zip(said["ladder"], said["ladder"][1:], strict=False):
        assert row["gain"] == pytest.approx(row["crossfitted"] - before["crossfitted"])
    assert set(said["models"]) == {"a", "b"}
    assert said["models"]["b"]["decision"]["weights"] == {"a": 0.0, "b": 1.0}
    assert {one["kind"] for one in said["tried"]} == {"view", "model", "step"}
    assert all(one["alone"] is not None for one in said["tried"])
    by_domain = said["ensemble"]["by_domain"]
    assert said["worst_domain"] == {"name": min(by_domain, key=by_domain.get), "score": min(by_domain.values())}
    assert said["worst_stratum"]["score"] == min(said["ensemble"]["by_stratum"].values())
    submitted, other = said["ensemble"], said["other"]
    rivals = [way for way in said["models"].values() if way["decision"] != submitted["decision"]] + said["ladder"][:-1]
    assert other["crossfitted"] == pytest.approx(max(way["crossfitted"] for way in rivals))
    assert other["gain"] == pytest.approx(other["crossfitted"] - submitted["crossfitted"])
    assert said["shake_up"]["splits"] == 15  # of 6 groups into 2 and 4


@pytest.mark.parametrize(("gain", "lines"), [(0.0018, 1), (0.0, 0), (-0.002, 0)])
def test_a_way_that_scores_higher_than_the_submitted_one_is_named(gain: float, lines: int) -> None:
    other = {"name": "unet alone", "crossfitted": 0.79 + gain, "gain": gain, "se": 0.0007}
    said = outscored({"ensemble": {"crossfitted": 0.79}, "other": other})
    assert len(said) == lines
    if lines:
        assert said[0].startswith(
            "unet alone scores 0.7918, higher than the submitted recipe with 0.7900 (by 0.0018 ± 0.0007):"
        )


def test_a_ladder_has_no_steps_that_choose_nothing(memory_evidence: type) -> None:
    labels = np.random.default_rng(0).integers(0, 2, (6, 8, 8)).astype(np.uint8)
    evidence = memory_evidence({"a": labels[:, None] * 200}, labels, fold=np.arange(6) % 3)
    search, free = searching(evidence, FScore("pooled", 1.0))
    said = verdict(search, free, 100, 0)
    assert [row["what"] for row in said["ladder"]] == ["single model", "+ rule"]
    assert said["models"]["a"] == said["ensemble"] and said["worst_domain"] is None


def test_stability_by_hand(memory_evidence: type) -> None:
    """Three folds of a row each: 10 positives at 100, and at 60, 80 and 95 ten negatives each, the fold's best threshold
    the middle of those between its negatives and 100. Pooled at 90, the third fold has Dice 20/30 instead of 1."""
    labels, maps = np.zeros((3, 1, 20), np.uint8), np.zeros((3, 1, 1, 20), np.uint8)
    labels[:, 0, :10], maps[:, 0, 0, :10] = 1, 100
    maps[:, 0, 0, 10:] = np.array([60, 80, 95])[:, None]
    search, _ = searching(memory_evidence({"a": maps}, labels, fold=[0, 1, 2]), FScore("pooled", 1.0), 1.0)
    decision = Decision({"a": 1.0}, ["identity"], "probabilities", "threshold", "", {EVERYWHERE: [90]}, {})
    said = stability(search, decision, False, 0)
    assert said == {
        EVERYWHERE: {"per_fold": [[81], [91], [98]], "spread": [17], "loss": pytest.approx((1 - 2 / 3) / 3)}
    }


def test_stability_by_stratum_says_where_a_fold_has_none(memory_evidence: type) -> None:
    labels = np.random.default_rng(0).integers(0, 2, (4, 8, 8)).astype(np.uint8)
    evidence = memory_evidence({"a": labels[:, None] * 200}, labels, fold=[0, 1, 2, 2], stratum=list("xxxy"))
    search, _ = searching(evidence, FScore("pooled", 1.0), 1.0)
    decision = Decision({"a": 1.0}, ["identity"], "probabilities", "threshold", "stratum", {EVERYWHERE: [101]}, {})
    said = stability(search, decision, False, 0)
    assert said["y"]["per_fold"] == [None, None, [101]]
    assert said["x"] == {"per_fold": [[101]] * 3, "spread": [0], "loss": 0}


# Held-out sets


def _rows(folds: list[int], groups: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"fold": folds, "group": groups})


def _is_partition(sets: list[np.ndarray], length: int) -> bool:
    return sorted(np.concatenate(sets).tolist()) == list(range(length))


@pytest.mark.parametrize("folds", [[0, 1, 2], [0, 2, 4, 4, 2, 0, 7]])
def test_three_folds_or_more_are_held_out_one_by_one(folds: list[int]) -> None:
    sets, reason = holdouts(_rows(folds, ["g"] * len(folds)), 0)
    assert reason is None
    assert _is_partition(sets, len(folds))
    assert [{folds[row] for row in out} for out in sets] == [{fold} for fold in sorted(set(folds))]


@pytest.mark.parametrize("number", [3, 5, 11])
@pytest.mark.parametrize("folds", [1, 2])
def test_fewer_folds_give_parts_of_whole_groups(number: int, folds: int) -> None:
    groups = [f"g{n}" for n in range(number)] * 3
    rows = _rows([row % folds for row in range(len(groups))], groups)
    sets, reason = holdouts(rows, 0)
    assert reason is None
    assert _is_partition(sets, len(groups))
    assert len(sets) == min(number, 5)
    held = [{groups[row] for row in out} for out in sets]
    assert sum(map(len, held)) == number  # no group is in two parts
    assert [out.tolist() for out in holdouts(rows, 0)[0]] == [out.tolist() for out in sets]


@pytest.mark.parametrize("number", [1, 2])
def test_fewer_than_three_groups_and_folds_give_a_reason(number: int) -> None:
    sets, reason = holdouts(_rows([0, 1], ["g", f"g{number}"[:number]]), 0)
    assert sets == []
    assert reason == f"{number} group(s): cross-fitting needs three"


def test_networks_that_no_fold_measured_are_named() -> None:
    assert unmeasured([], "alone") == []
    assert "by only one trained on all folds, in a, b:" in unmeasured(["a", "b"], "alone")[0]
    assert "by the networks of the folds and one" in unmeasured(["a"], "beside")[0]


@pytest.mark.parametrize(
    ("changes", "of_strips", "of_z_blocks"),
    [({}, None, None), ({"cut": "hysteresis"}, "hysteresis", None), ({"cut": "quantile"}, "quantile", None),
     ({"steps": {"fill_holes": 9, "min_area": 4}}, "fill_holes, min_area", None),
     ({"blend": "ranks", "steps": {"largest": 1, "min_volume": 8}}, "ranks, largest, min_volume", "min_volume")],
)  # fmt: skip
def test_what_parts_cut_is_named(changes: dict, of_strips: str | None, of_z_blocks: str | None) -> None:
    how = {"blend": "probabilities", "cut": "threshold", "steps": {}} | changes
    decision = Decision(weights={"a": 1.0}, views=["identity"], by="", levels={}, **how)
    rows = pd.DataFrame({"image_id": "a", "item": ["a@0", "a@1"], "y0": 0, "x0": 0})
    for oof, said in ((rows.assign(y0=[0, 50]), of_strips), (rows, of_z_blocks), (rows.assign(item="a"), None)):
        lines = unlike_whole_rows(decision, oof)
        assert [line.partition(":")[0] for line in lines] == ([said] if said else [])


def _said(groups: int, *of_classes: int, **changes: object) -> dict:
    by_group = {str(number): 0.5 for number in range(groups)}
    said = {"crossfitted": 0.5, "interval": [0.4, 0.6], "left_out": 0, "by_group": by_group}
    return said | {"groups_of_classes": list(of_classes)} | changes


def test_an_interval_over_few_groups_is_doubted() -> None:
    assert doubts(_said(10, 10, 10), ["vessel", "cell"]) == []
    assert doubts(_said(2, 2, 2, crossfitted=None), ["vessel", "cell"]) == []
    [line] = doubts(_said(9, 9, 9), ["vessel", "cell"])
    assert line.startswith("an interval over 9 groups tells little")


def test_groups_without_a_class_are_told_beside_the_interval() -> None:
    lines = doubts(_said(30, 30, 3, 0, left_out=85), ["vessel", "cell", "absent"])
    assert lines[0] == "cell is in 3 of 30 groups: 85 resamples without a class are left out of the interval"
    assert lines[1].startswith("an interval over 3 groups with cell tells little")
    assert doubts(_said(30, 30, 1, interval=None), ["vessel", "cell"])[0].startswith("no interval: cell is in 1 of 30")


def test_a_class_of_one_group_costs_the_interval_and_not_the_score(memory_evidence: type) -> None:
    labels = np.zeros((8, 4, 4), np.uint8)
    labels[0, :2] = 1
    evidence = memory_evidence({"a": labels[:, None] * 200}, labels, fold=np.arange(8) % 4)
    search, free = searching(evidence, FScore("pooled", 1.0))
    said = evaluate(search, free, 100, 0)
    assert said["crossfitted"] is not None and said["interval"] is None
    assert (said["left_out"], said["groups_of_classes"]) == (0, [1])

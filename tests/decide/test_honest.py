import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from tessera.decide.decision import Decision
from tessera.decide.honest import evaluate, holdouts, unmeasured
from tessera.decide.search import Search, simplex
from tessera.metrics.counts import FScore


def _noise_search(memory_evidence: type, seed: int, average: str, **columns: object) -> Search:
    """Twelve rows whose probabilities know nothing of the truth."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.array([0, 1, 255], np.uint8), (12, 8, 8), p=[0.75, 0.15, 0.1])
    maps = {name: rng.integers(0, 256, (12, 1, 8, 8), np.uint8) for name in "ab"}
    given = {"fold": np.arange(12) % 3, "group": [f"g{row // 2}" for row in range(12)], "stratum": list("xy" * 6)}
    evidence = memory_evidence(maps, labels, **given | columns)
    return Search(evidence, simplex(2, 0.25), "stratum", {"min_area": [2, 4]}, FScore(average, 1.0))


@pytest.mark.parametrize("average", ["pooled", "per_image"])
def test_on_noise_the_honest_score_is_not_above_the_optimistic_one(memory_evidence: type, average: str) -> None:
    for seed in range(4):
        said = evaluate(_noise_search(memory_evidence, seed, average), None, 100, 0)
        assert said["crossfitted"] <= said["optimistic"]


@pytest.mark.parametrize("average", ["pooled", "per_image"])
def test_both_scores_are_those_of_the_decisions_that_are_told(memory_evidence: type, average: str) -> None:
    search = _noise_search(memory_evidence, 0, average)
    said = json.loads(json.dumps(evaluate(search, None, 100, 0)))
    rows = search.evidence.rows
    counts = search.count(Decision(**said["decision"]), rows.index.to_numpy())
    assert search.score.of(counts) == pytest.approx(said["optimistic"])
    number = {name: row for row, name in rows.row_id.items()}
    crossed = np.empty_like(counts)
    for one in said["holdouts"]:
        out = np.array([number[name] for name in one["rows"]])
        crossed[out] = search.count(Decision(**one["decision"]), out)
        again = search.decide(np.setdiff1d(rows.index, out))  # decided on the other rows alone
        assert one["decision"] == asdict(again)
    np.testing.assert_array_equal(crossed, said["counts"])
    assert search.score.of(crossed) == pytest.approx(said["crossfitted"])
    assert said["interval"][0] <= said["crossfitted"] <= said["interval"][1]
    for key, column in (("by_fold", "fold"), ("by_stratum", "stratum"), ("by_group", "group")):
        for name, value in said[key].items():
            assert value == pytest.approx(search.score.of(crossed[(rows[column].astype(str) == name).to_numpy()]))


def test_candidates_limit_the_crossfitted_decisions_too(memory_evidence: type) -> None:
    search = _noise_search(memory_evidence, 0, "pooled")
    alone = np.flatnonzero(search.weights[:, 1] == 1)
    said = evaluate(search, alone, 100, 0)
    for decision in (said["decision"], *(one["decision"] for one in said["holdouts"])):
        assert decision["weights"] == {"a": 0.0, "b": 1.0}


def test_too_few_groups_have_no_honest_score_but_a_reason(memory_evidence: type) -> None:
    search = _noise_search(memory_evidence, 0, "pooled", fold=0, group=["g", "h"] * 6)
    said = evaluate(search, None, 100, 0)
    assert said["crossfitted"] is None
    assert "2 group(s)" in said["reason"]
    assert set(said["by_group"]) == {"g", "h"}


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

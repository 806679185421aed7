from pathlib import Path

import numpy as np
import pytest

from tessera.decide.evidence import Evidence
from tessera.deliver.dialects.build import build_dialect
from tessera.deliver.scoreboard import say_levels, solution_score, table
from tessera.errors import InputError
from tessera.metrics.counts import FScore, count
from tessera.metrics.score import score_of
from tessera.metrics.surface import SurfaceDice

hubmap = build_dialect("hubmap", ["a"])
SAID = {
    "optimistic": 0.81234, "crossfitted": 0.79, "interval": [0.7, 0.85], "reason": None,
    "decision": {
        "weights": {"unet": 1.0, "fpn": 0.0}, "cut": "threshold", "levels": {"*": [120], "kidney": [90]}, "steps": {"min_area": 16},
    },
}  # fmt: skip
UNFITTED = SAID | {"crossfitted": None, "interval": None, "reason": "1 group(s): cross-fitting needs three"}


def _scores(**changes: object) -> dict:
    return {
        "score": {"name": "F0.5"}, "models": {"unet": SAID}, "ensemble": SAID, "selected_on_validation": [], "notes": [],
    } | changes  # fmt: skip


def test_a_line_a_model_and_the_ensemble_with_all_that_was_chosen() -> None:
    head, *lines = table(_scores()).splitlines()
    assert head.split()[:2] == ["F0.5", "optimistic"]
    assert [line.split()[0] for line in lines] == ["unet", "ensemble"]
    for line in lines:
        for piece in ("0.8123", "0.7900", "0.7000…0.8500", "threshold * 120, kidney 90; min_area 16"):
            assert piece in line


def test_levels_of_several_numbers_stay_apart_from_those_of_classes() -> None:
    assert say_levels([120, 90]) == "120/90"
    assert say_levels([[60, 120], (30, 90)]) == "60…120/30…90"
    assert say_levels([0.123456]) == "0.1235"


def test_an_absent_score_is_a_dash_with_its_reason() -> None:
    said = table(_scores(ensemble=UNFITTED)).splitlines()
    assert said[2].split()[2:4] == ["–", "–"]
    assert said[3] == "cross-fitted: – (1 group(s): cross-fitting needs three)"


def test_a_choice_on_the_validation_fold_is_said_of_models_that_weigh() -> None:
    said = "the validation fold chose what was kept of unet (keep, patience); the interval does not cover that choice"
    assert table(_scores(selected_on_validation=["unet", "fpn"])).splitlines()[-1] == said
    for unsaid in ([], ["fpn"]):
        assert "validation fold" not in table(_scores(selected_on_validation=unsaid))


def test_notes_come_last() -> None:
    assert table(_scores(notes=["one", "two"])).splitlines()[-2:] == ["one", "two"]


def _write(path: Path, masks: dict[str, np.ndarray]) -> Path:
    hubmap.write(path, ["id", "rle"], masks.items())
    return path


def _test_rows(memory_evidence: type, names: str, size: tuple[int, int], **columns: object) -> Evidence:
    bounds = {"row_id": list(names), "y0": 0, "y1": size[0], "x0": 0, "x1": size[1]}
    return memory_evidence({}, np.zeros((len(names), *size)), **bounds | columns)


@pytest.mark.parametrize("average", ["pooled", "per_image"])
def test_the_solution_scores_rows_by_id(tmp_path: Path, memory_evidence: type, average: str) -> None:
    rng = np.random.default_rng(0)
    found = {name: rng.random((1, 5, 7)) < 0.4 for name in "abc"}
    truth = {name: rng.random((1, 5, 7)) < 0.4 for name in "cab"}  # in another order
    score = FScore(average, 1.0)
    expected = score.of(np.stack([count(found[name], truth[name], np.ones((1, 5, 7), bool)) for name in "abc"]))
    files = _write(tmp_path / "submission.csv", found), _write(tmp_path / "solution.csv", truth)
    rows = _test_rows(memory_evidence, "abc", (5, 7))
    assert solution_score(*files, hubmap, rows, score) == pytest.approx(expected)


def test_the_solution_scores_whole_volumes(tmp_path: Path, memory_evidence: type) -> None:
    rng = np.random.default_rng(0)
    found, truth = ({name: rng.random((1, 5, 7)) < 0.4 for name in "abcd"} for _ in range(2))
    score, everywhere = SurfaceDice(1.0, "per_image", 1.0), np.ones((1, 2, 5, 7), bool)
    volumes = [[np.stack([masks[name] for name in names], 1) for masks in (found, truth)] for names in ("ab", "cd")]
    expected = score_of(score, np.stack([score.measure(*pair, everywhere, (1.0,) * 3) for pair in volumes]))
    files = _write(tmp_path / "submission.csv", found), _write(tmp_path / "solution.csv", truth)
    rows = _test_rows(memory_evidence, "abcd", (5, 7), item=["v", "v", "w", "w"], z=[0, 1, 0, 1])
    assert solution_score(*files, hubmap, rows, score) == pytest.approx(expected)


def test_a_solution_without_a_row_is_named(tmp_path: Path, memory_evidence: type) -> None:
    mask = np.ones((1, 2, 3), bool)
    files = _write(tmp_path / "submission.csv", {"a": mask, "b": mask}), _write(tmp_path / "solution.csv", {"a": mask})
    with pytest.raises(InputError, match=r"solution\.csv.*'b'"):
        solution_score(*files, hubmap, _test_rows(memory_evidence, "ab", (2, 3)), FScore("pooled", 1.0))

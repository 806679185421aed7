"""A planted bug is found by its score."""

import numpy as np
import pandas as pd
import pytest

from tessera.decide.bugs import AS_DECIDED, Bug, bugs
from tessera.decide.decision import EVERYWHERE, Decision
from tessera.decide.diagnosis import Diagnosis, Finding, boxes_of, few_rows, on_few, table
from tessera.decide.evidence import Evidence
from tessera.errors import InputError
from tessera.metrics.counts import FScore, count
from tessera.metrics.surface import SurfaceDice
from tessera.tasks import Multilabel

DICE = FScore("pooled", 1.0)
ROWS = 6


def _decision(classes: int = 1) -> Decision:
    return Decision({"m": 1.0}, ["identity"], "probabilities", "threshold", "", {EVERYWHERE: [128] * classes}, {})


def _labels(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Rows (ROWS, H, W) of a bar near the upper left corner and of specks, some px ignored."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((ROWS, *shape)) < 0.05).astype(np.uint8)
    for row in labels:
        top, left = rng.integers(1, 4, 2)
        row[top : top + 5, left : left + 14] = 1
    labels[rng.random(labels.shape) < 0.02] = 255
    return labels


def _maps(labels: np.ndarray, seed: int) -> np.ndarray:
    """Probabilities that are right but for noise, in steps that thresholds tell apart."""
    rng = np.random.default_rng(seed)
    return np.clip(np.where(labels == 1, 170, 80) + rng.normal(0, 35, labels.shape), 0, 255).astype(np.uint8)


def _evidence(memory_evidence: type, shape: tuple[int, int] = (24, 24)) -> Evidence:
    labels = _labels(0, shape)
    return memory_evidence({"m": _maps(labels, 1)[:, None]}, labels)


def _found(evidence: Evidence, leaderboard: float, classes: list[str], square: bool = True) -> list[Finding]:
    """The bugs that reproduce a score, the nearest first."""
    diagnosis = Diagnosis(evidence, _decision(len(classes)), DICE, 200, 0)
    findings = [diagnosis.of(bug) for bug in bugs(classes, square)]
    near = sorted(findings, key=lambda one: abs(one.score - leaderboard))
    return [one for one in near if one.reproduces(leaderboard)]


def _as_submitted(evidence: Evidence, change: callable) -> float:
    """The Dice of masks that someone else changed."""
    counts = []
    for row in range(ROWS):
        mask = evidence.maps(row, ["m"], ["identity"])[0] >= 128
        counts.append(count(np.stack([change(plane) for plane in mask]), *evidence.truth(row)))
    return DICE.of(np.array(counts))


PLANTED = {
    "transposed (runs along rows, read down columns)": lambda mask: mask.T,
    "flipped left-right": np.fliplr,
    "flipped top-bottom": np.flipud,
    "rotated by 90°": np.rot90,
    "rotated by 180°": lambda mask: np.rot90(mask, 2),
    "rotated by 270°": lambda mask: np.rot90(mask, 3),
    "inverted": lambda mask: ~mask,
    "empty": lambda mask: mask & False,
    "shifted by 1 px right": lambda mask: np.hstack([mask[:, :1], mask[:, :-1]]),
    "shifted by 1 px down": lambda mask: np.vstack([mask[:1], mask[:-1]]),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_bug_is_found(memory_evidence: type, planted: str) -> None:
    evidence = _evidence(memory_evidence)
    leaderboard = _as_submitted(evidence, PLANTED[planted])
    first, *_ = _found(evidence, leaderboard, ["a"])
    assert (first.name, first.score) == (planted, pytest.approx(leaderboard))


@pytest.mark.parametrize(("written", "read"), [("C", "F"), ("F", "C")])
def test_a_wrong_order_of_runs_is_found_in_masks_that_are_not_square(
    memory_evidence: type, written: str, read: str
) -> None:
    evidence = _evidence(memory_evidence, (20, 31))
    leaderboard = _as_submitted(evidence, lambda mask: mask.ravel(written).reshape(mask.shape, order=read))
    first, *_ = _found(evidence, leaderboard, ["a"], square=False)
    assert first.name == {
        "C": "transposed (runs along rows, read down columns)", "F": "transposed (runs down columns, read along rows)",
    }[written]  # fmt: skip


def test_a_shifted_threshold_is_found(memory_evidence: type) -> None:
    evidence = _evidence(memory_evidence)
    for by, name in ((51, "thresholds +0.20"), (-26, "thresholds -0.10")):
        counts = [
            count(evidence.maps(row, ["m"], ["identity"])[0] >= 128 + by, *evidence.truth(row)) for row in range(ROWS)
        ]
        first, *_ = _found(evidence, DICE.of(np.array(counts)), ["a"])
        assert first.name == name


@pytest.mark.parametrize(
    ("cut", "level", "higher"),
    [("threshold", 128, 141), ("hysteresis", [90, 128], [103, 141]), ("triplet", [200, 9, 128], [213, 9, 141]),
     ("quantile", 0.2, 0.2)],
)  # fmt: skip
@pytest.mark.parametrize("blend", ["probabilities", "ranks"])
def test_the_thresholds_of_every_cut_are_shifted_after_the_blend(
    memory_evidence: type, blend: str, cut: str, level: object, higher: object
) -> None:
    labels = _labels(0, (24, 24))
    evidence = memory_evidence({name: _maps(labels, seed)[:, None] for seed, name in enumerate("ab")}, labels)
    one, other = (
        Decision({"a": 0.5, "b": 0.5}, ["identity"], blend, cut, "", {EVERYWHERE: [of]}, {}) for of in (level, higher)
    )
    offered = {bug.name: bug for bug in bugs(["a"], True)}
    found = Diagnosis(evidence, one, DICE, 100, 0).of(offered["thresholds +0.05"])
    assert found.score == Diagnosis(evidence, other, DICE, 100, 0).of(AS_DECIDED).score
    for far in ("thresholds -0.20", "thresholds +0.20"):  # beyond 0…255 for some
        assert 0 <= Diagnosis(evidence, one, DICE, 100, 0).of(offered[far]).score <= 1


def test_swapped_classes_are_found(memory_evidence: type) -> None:
    labels = np.stack([_labels(seed, (24, 24)) for seed in (0, 1, 2)], -1)
    labels[..., 1] = labels[:, ::-1, :, 1]
    evidence = memory_evidence({"m": np.stack([_maps(labels[..., k], k) for k in range(3)], 1)}, labels)
    evidence.task = Multilabel(["a", "b", "c"])
    counts = []
    for row in range(ROWS):
        mask = evidence.maps(row, ["m"], ["identity"])[0] >= 128
        counts.append(count(mask[[2, 1, 0]], *evidence.truth(row)))
    first, *_ = _found(evidence, DICE.of(np.array(counts)), ["a", "b", "c"])
    assert first.name == "a and c swapped"


def test_half_a_pixel_is_the_mean_of_neighbours() -> None:
    maps = np.array([[10, 20, 40], [0, 100, 200]], np.float32)[None, None]
    shifts = {bug.name: bug.maps(maps)[0, 0].tolist() for bug in bugs(["a"], True) if bug.name.startswith("shifted")}
    assert shifts == {
        "shifted by 0.5 px right": [[10, 15, 30], [0, 50, 150]],
        "shifted by 0.5 px down": [[10, 20, 40], [5, 60, 120]],
        "shifted by 0.5 px right and down": [[10, 15, 30], [5, 32.5, 90]],
        "shifted by 1 px right": [[10, 10, 20], [0, 0, 100]],
        "shifted by 1 px down": [[10, 20, 40], [10, 20, 40]],
        "shifted by 1 px right and down": [[10, 10, 20], [10, 10, 20]],
    }


def test_no_bug_leaves_the_evidence_changed(memory_evidence: type) -> None:
    evidence = _evidence(memory_evidence)
    diagnosis = Diagnosis(evidence, _decision(), DICE, 200, 0)
    before = diagnosis.of(AS_DECIDED)
    assert before.score == pytest.approx(_as_submitted(evidence, lambda mask: mask))
    for bug in bugs(["a"], True):
        diagnosis.of(bug)
    assert diagnosis.of(AS_DECIDED) == before


def test_a_score_of_volumes_is_measured_on_volumes(memory_evidence: type) -> None:
    labels = _labels(0, (24, 24))
    items = {"item": ["u"] * 3 + ["v"] * 3, "group": ["u"] * 3 + ["v"] * 3, "z": [0, 1, 2] * 2}
    evidence = memory_evidence({"m": _maps(labels, 1)[:, None]}, labels, **items)
    score = SurfaceDice(1.0, "per_image", 1.0)
    maps, (target, valid) = evidence._maps["m"]["identity"], evidence.task.encode_target(labels)
    expected = [
        score.measure(*(planes[start : start + 3].swapaxes(0, 1) for planes in (maps >= 128, target, valid)), (1, 1, 1))
        for start in (0, 3)
    ]
    found = Diagnosis(evidence, _decision(), score, 200, 0).of(AS_DECIDED)
    assert found.score == pytest.approx(np.mean([one[0, 0] for one in expected]))
    assert found.error > 0


# What is said


def test_the_table_puts_what_reproduces_the_score_first() -> None:
    plain = Finding("as decided", "", 0.8, 0.02)
    findings = [
        Finding("far", "nothing", 0.1, 0.05), Finding("near", "the socket", 0.33, 0.02), Finding("exact", "x", 0.34, 0.0),
        Finding("just out", "", 0.37, 0.02),
    ]  # fmt: skip
    head, *lines, _, said = table(findings, 0.34, plain).splitlines()
    assert head.endswith("leaderboard 0.3400")
    assert [line.split("  ")[0] for line in lines] == ["→ exact", "→ near", ["", "just out"][0], "", ""]
    assert lines[1].endswith("the socket")
    assert said == "0.3400 is what these would score: exact, near"
    assert "none of these bugs reproduces 0.6000: the nearest is as decided" in table(findings, 0.6, plain)
    assert "no bug is needed" in table(findings, 0.81, plain)


def test_without_a_standard_error_two_decimals_must_agree() -> None:
    finding = Finding("one", "", 0.5, None)
    assert [finding.reproduces(score) for score in (0.4951, 0.5049, 0.494, 0.506)] == [True, True, False, False]
    assert "0.5000  –\n" in table([finding], 0.5, Finding("as decided", "", 0.9, None))


def test_one_group_has_no_standard_error(memory_evidence: type) -> None:
    labels = _labels(0, (24, 24))
    evidence = memory_evidence({"m": _maps(labels, 1)[:, None]}, labels, group="all")
    assert Diagnosis(evidence, _decision(), DICE, 200, 0).of(AS_DECIDED).error is None


# Few rows


def _rows() -> pd.DataFrame:
    """An image, a volume of six slices from the third on, and a part of an image."""
    rows = [("i", "i", 0)] + [("v@2-8", "v", z) for z in range(2, 8)] + [("w@y4-9x0-5", "w", 0), ("x", "x", 0)]
    table = pd.DataFrame(rows, columns=["item", "image_id", "z"])
    return table.assign(y0=0, y1=9, x0=0, x1=5, fold=0).assign(y0=table["item"].str.contains("y4") * 4)


def test_few_rows_are_the_middle_slices_of_items_far_apart() -> None:
    few = few_rows(_rows(), 2, 4)
    assert list(few["item"]) == ["i", "x"]
    assert list(few_rows(_rows(), 9, 3)["item"]) == ["i", *["v@2-8"] * 3, "w@y4-9x0-5", "x"]
    assert few_rows(_rows(), 9, 3).z.tolist() == [0, 3, 4, 5, 0, 0]
    assert few_rows(_rows(), 9, 3).index.tolist() == list(range(6))
    assert len(few_rows(_rows(), 0, 3)) == 0
    with pytest.raises(InputError, match="items -1: expected 0"):
        few_rows(_rows(), -1, 3)


def test_boxes_hold_the_rows_and_no_more() -> None:
    manifest = pd.DataFrame({"image_id": list("ivwx"), "height": 9, "width": 5})
    boxes = boxes_of(few_rows(_rows(), 9, 3), manifest)
    assert boxes["item"].tolist() == ["i", "v@2-8", "w@y4-9x0-5", "x"]
    assert boxes[["z0", "z1", "y0", "y1", "x0", "x1"]].to_numpy().tolist() == [
        [0, 1, 0, 9, 0, 5], [3, 6, 0, 9, 0, 5], [0, 1, 4, 9, 0, 5], [0, 1, 0, 9, 0, 5],
    ]  # fmt: skip


def test_what_few_rows_lose_all_are_taken_to_lose() -> None:
    plain, right, wrong = Finding("", "", 0.8, 0.02), Finding("", "", 0.9, 0.3), Finding("", "", 0.6, 0.3)
    found = on_few("BGR", "cv2", wrong, right, plain, 7)
    assert found == Finding("BGR (7 rows)", "cv2", pytest.approx(0.5), 0.02)
    assert on_few("", "", wrong._replace(score=0.05), right, plain, 7).score == 0


def test_every_bug_says_where_to_look() -> None:
    found = bugs(["a", "b", "c"], False)
    assert all(isinstance(bug, Bug) and bug.look for bug in found)
    assert len({bug.name for bug in found}) == len(found) == 2 + 2 + 3 + 2 + 6 + 6 + 3

import numpy as np
import pytest

from tessera.decide.blending import blend, ranks
from tessera.decide.decision import Decision

LABELS = np.zeros((4, 10, 13), np.uint8)


def _maps(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (4, 1, 10, 13), np.uint8)


def _decision(levels: dict[str, list], **changes: object) -> Decision:
    plain = {
        "weights": {"m": 1.0}, "views": ["identity"], "blend": "probabilities", "cut": "threshold", "by": "", "steps": {},
    }  # fmt: skip
    return Decision(levels=levels, **plain | changes)


@pytest.mark.parametrize("by", ["", "stratum", "domain"])
def test_levels_are_those_of_the_row_s_own_stratum_or_domain(memory_evidence: type, by: str) -> None:
    maps = _maps(0)
    evidence = memory_evidence({"m": maps}, LABELS, stratum=["k", "k", "l", ""], domain=["k", "l", "x", ""])
    decision = _decision({"*": [100], "k": [40], "l": [200]}, by=by)
    expected = {"": [100] * 4, "stratum": [40, 40, 200, 100], "domain": [40, 200, 100, 100]}[by]
    for row, mask in evidence.masks(decision):
        np.testing.assert_array_equal(mask, maps[row] >= expected[row])


@pytest.mark.parametrize("rows", [None, [2, 0]])
def test_rows_come_in_the_order_asked_for_each_under_its_own_decision(memory_evidence: type, rows: list | None) -> None:
    maps = _maps(1)
    evidence = memory_evidence({"m": maps}, LABELS)
    decisions = {
        name: _decision({"*": [level]}) for name, level in zip(evidence.rows.row_id, (9, 9, 99, 199), strict=True)
    }
    found = list(evidence.masks_under(decisions, rows))
    assert [row for row, _ in found] == (rows or [0, 1, 2, 3])
    for row, mask in found:
        np.testing.assert_array_equal(mask, maps[row] >= (9, 9, 99, 199)[row])


def test_only_the_decision_s_views_and_models_are_blended_in_its_way(memory_evidence: type) -> None:
    one, other, third = _maps(2), _maps(3), _maps(4)
    evidence = memory_evidence(
        {"m": {"identity": one, "flip_h": other}, "n": {"identity": third, "flip_h": one}}, LABELS
    )
    for views, expected in ((["flip_h"], other), (["identity", "flip_h"], (one + other.astype(np.float32)) / 2)):
        ((_, mask),) = evidence.masks(_decision({"*": [120]}, views=views), [1])
        np.testing.assert_array_equal(mask, np.rint(expected[1]) >= 120)
    both = _decision({"*": [120]}, weights={"m": 0.25, "n": 0.75}, blend="ranks")
    ((_, mask),) = evidence.masks(both, [1])
    blended = blend(ranks(np.stack([one[1], third[1]]).astype(np.float32)), [0.25, 0.75])
    np.testing.assert_array_equal(mask, blended >= 120)


def test_an_area_in_um2_is_that_of_the_row_s_own_pixels(memory_evidence: type) -> None:
    maps = np.zeros((2, 1, 10, 13), np.uint8)
    maps[:, 0, 2:5, 2:6] = 200  # 12 px: 3 µm² in the first row, 48 in the second
    evidence = memory_evidence({"m": maps}, LABELS[:2], pixel_size=[0.5, 2.0])
    masks = dict(evidence.masks(_decision({"*": [100]}, steps={"min_area_um2": 4.0})))
    assert [int(masks[row].sum()) for row in (0, 1)] == [0, 12]


def test_steps_are_applied_in_their_order_whatever_the_order_they_are_given_in(memory_evidence: type) -> None:
    """The ring's hole is filled before what is small is removed."""
    maps = np.zeros((1, 1, 10, 13), np.uint8)
    maps[0, 0, 2:5, 2:5] = 200
    maps[0, 0, 3, 3] = 0
    evidence = memory_evidence({"m": maps}, LABELS[:1])
    for steps in ({"min_area": 9, "fill_holes": 1}, {"fill_holes": 1, "min_area": 9}):
        assert dict(evidence.masks(_decision({"*": [100]}, steps=steps)))[0].sum() == 9

"""Scores of objects beside MONAI's panoptic matching and scikit-learn's contingency tables, and by hand."""

import numpy as np
import pytest
import torch
from monai.metrics.panoptic_quality import compute_panoptic_quality
from scipy import ndimage
from sklearn.metrics.cluster import contingency_matrix

from tessera.metrics.instances import ObjectFScore, ObjectPrecision, ObjectScore, count_objects
from tessera.metrics.score import score_of

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
PRECISION, F2 = ObjectPrecision(1.0, THRESHOLDS), ObjectFScore(1.0, THRESHOLDS, 2.0)


def _objects(seed: int, shape: tuple[int, int] = (48, 40)) -> tuple[np.ndarray, np.ndarray]:
    """A mask of blobs, and one that is like it."""
    rng = np.random.default_rng(seed)
    values = ndimage.gaussian_filter(rng.random(shape), 2)
    changed = values + rng.normal(0, 0.004, shape)
    return values > np.quantile(values, 0.75), changed > np.quantile(changed, 0.72)


def _labels(mask: np.ndarray) -> np.ndarray:
    return ndimage.label(mask, np.ones((3, 3)))[0]


@pytest.mark.parametrize("seed", range(4))
def test_objects_are_matched_as_by_monai(seed: int) -> None:
    mask, target = _objects(seed)
    found, labels = (torch.from_numpy(_labels(one)) for one in (mask, target))
    counts = count_objects(mask, target, THRESHOLDS)
    assert counts[0, 0] > 0
    for threshold, ours in zip(THRESHOLDS, counts, strict=True):
        peer = compute_panoptic_quality(found, labels, match_iou_threshold=threshold, output_confusion_matrix=True)
        assert ours.tolist() == peer[:3].tolist()


@pytest.mark.parametrize("seed", range(4))
def test_scores_equal_those_from_a_contingency_table_of_scikit_learn(seed: int) -> None:
    mask, target = _objects(seed)
    table = contingency_matrix(_labels(target).ravel(), _labels(mask).ravel())
    union = table.sum(1)[1:, None] + table.sum(0)[None, 1:] - table[1:, 1:]
    overlap = table[1:, 1:] / union
    right = np.array([(overlap > threshold).sum() for threshold in THRESHOLDS])
    wrong, missed = overlap.shape[1] - right, overlap.shape[0] - right
    valid = np.ones((1, *mask.shape), bool)
    for score, ratio in (
        (PRECISION, right / (right + wrong + missed)),
        (F2, 5 * right / (5 * right + 4 * missed + wrong)),
    ):
        statistics = score.measure(mask[None], target[None], valid, (1.0, 1.0))
        assert statistics == pytest.approx(np.array([[ratio.mean(), 1]]), abs=1e-6)


def test_objects_by_hand() -> None:
    mask, target = np.zeros((2, 1, 12, 12), bool)
    target[0, :2, :5] = True  # 10 px, of which 8 are found, and no more: IoU 0.8
    mask[0, :2, :4] = True
    target[0, 5, 5] = target[0, 6, 6] = True  # one object: diagonals connect
    mask[0, 10, 0] = True  # a false one
    valid = np.ones_like(mask)
    counts = count_objects(mask[0], target[0], (0.75, 0.8, 0.85))
    assert counts.tolist() == [[1, 1, 1], [0, 2, 2], [0, 2, 2]]  # above 0.8, not at it
    assert PRECISION.measure(mask, target, valid, (1.0, 1.0)) == pytest.approx(np.array([[6 / 10 / 3, 1]]))
    assert F2.measure(mask, target, valid, (1.0, 1.0)) == pytest.approx(np.array([[6 / 10 / 2, 1]]))
    assert (PRECISION.name, F2.name) == ("mAP of objects", "F2 of objects")


@pytest.mark.parametrize("size", range(2, 120))
def test_an_iou_that_equals_the_threshold_is_below_it(size: int) -> None:
    target = np.ones((1, size), bool)
    for covered in range(1, size):
        mask = np.arange(size)[None] < covered
        assert count_objects(mask, target, (covered / size,))[0, 0] == 0
        assert count_objects(mask, target, (covered / size - 1e-4,))[0, 0] == 1


@pytest.mark.parametrize("score", [PRECISION, F2])
def test_rows_are_averaged_and_classes_last(score: ObjectScore) -> None:
    rows = [np.stack([_objects(seed + 10 * c) for c in (0, 1)], 1) for seed in range(3)]
    statistics = np.stack([score.measure(*row, row[0] | True, (1.0, 1.0)) for row in rows])
    by_row = [
        score.ratio(count_objects(mask, target, THRESHOLDS)).mean()
        for row in rows
        for mask, target in zip(*row, strict=True)
    ]
    assert score_of(score, statistics) == pytest.approx(np.mean(by_row))


@pytest.mark.parametrize("score", [PRECISION, F2])
def test_ignored_pixels_change_nothing(score: ObjectScore) -> None:
    (mask, target), (other, labels) = _objects(0), _objects(1)
    valid = np.random.default_rng(0).random(mask.shape) < 0.95
    valid[:20] = False
    expected = score.measure(mask[None], target[None], valid[None], (1.0, 1.0))
    scrambled = [np.where(valid, *pair)[None] for pair in ((mask, other), (target, labels))]
    np.testing.assert_array_equal(score.measure(*scrambled, valid[None], (1.0, 1.0)), expected)
    assert (score.measure(mask[None], target[None], valid[None] | True, (1.0, 1.0)) != expected).any()


@pytest.mark.parametrize("empty", [0.0, 0.5, 1.0])
def test_a_row_without_objects_scores_what_was_declared(empty: float) -> None:
    full, valid = np.eye(8, dtype=bool)[None], np.ones((1, 8, 8), bool)
    nothing = ~valid
    for score in (ObjectPrecision(empty, THRESHOLDS), ObjectFScore(empty, THRESHOLDS, 2.0)):
        pairs = (nothing, nothing), (full, nothing), (nothing, full), (full, full)
        assert [score.measure(*pair, valid, (1.0, 1.0))[0, 0] for pair in pairs] == [empty, 0, 0, 1]

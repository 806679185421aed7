import numpy as np
import pytest
import torch
from monai.metrics import compute_dice, compute_iou
from sklearn.metrics import fbeta_score, jaccard_score

from tessera.metrics.build import METRICS, build_score
from tessera.metrics.counts import FScore, IoU, count, f_score, iou
from tessera.metrics.score import score_of
from tessera.params.score import KEYS, Score


def _random(seed: int, shape: tuple[int, ...] = (2, 9, 7)) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return tuple(rng.random(shape) < share for share in (0.4, 0.3, 0.8))


@pytest.mark.parametrize("seed", range(5))
def test_count_equals_a_loop_over_pixels(seed: int) -> None:
    mask, target, valid = _random(seed)
    naive = np.zeros((2, 3), int)
    for place in np.ndindex(mask.shape):
        if valid[place]:
            naive[place[0]] += [mask[place] and target[place], mask[place] > target[place], target[place] > mask[place]]
    np.testing.assert_array_equal(count(mask, target, valid), naive)


def test_ignored_pixels_are_never_counted() -> None:
    mask, target, valid = _random(0)
    other_mask, other_target, _ = _random(1)
    np.testing.assert_array_equal(
        count(mask, target, valid),
        count(np.where(valid, mask, other_mask), np.where(valid, target, other_target), valid),
    )


@pytest.mark.parametrize("empty", [0.0, 0.5, 1.0])
def test_dice_of_nothing_is_the_declared_score(empty: float) -> None:
    counts = [[0, 0, 0], [3, 0, 0], [0, 2, 0], [0, 0, 2], [3, 1, 1]]
    np.testing.assert_allclose(f_score(counts, empty), [empty, 1, 0, 0, 0.75])


@pytest.mark.parametrize(
    ("beta", "by_hand"), [(0.5, [0, 5 / 13, 5 / 7, 0.75]), (1.0, [0, 0.5, 0.5, 0.75]), (2.0, [0, 5 / 7, 5 / 13, 0.75])]
)
def test_f_beta_weighs_false_positives_against_false_negatives(beta: float, by_hand: list[float]) -> None:
    counts = [[0, 1, 1], [1, 2, 0], [1, 0, 2], [3, 1, 1]]
    np.testing.assert_allclose(f_score(counts, 1.0, beta), by_hand)
    assert f_score([0, 0, 0], 0.5, beta) == 0.5
    precision, recall = 6 / (6 + 1), 6 / (6 + 5)
    expected = (1 + beta**2) * precision * recall / (beta**2 * precision + recall)
    assert f_score([6, 1, 5], 1.0, beta) == pytest.approx(expected)


def test_the_declared_score_is_pooled_or_averaged_with_its_beta() -> None:
    rows = np.array([[[1, 2, 0]], [[1, 0, 2]]])  # F0.5 5/13 and 5/7; pooled 2.5 / (2.5 + 2 + 0.5)
    for average, expected in (("pooled", 0.5), ("per_image", (5 / 13 + 5 / 7) / 2)):
        score = build_score(Score(metric="fbeta", beta=0.5, average=average, empty=1.0, direction="max"))
        assert score.of(rows) == pytest.approx(expected)
        assert score.name == "F0.5"
    dice = build_score(Score(metric="dice", average="pooled", empty=1.0, direction="max"))
    assert (dice, dice.name) == (FScore("pooled", 1.0, beta=1.0), "Dice")


def test_pooled_and_per_image_on_hand_numbers() -> None:
    rows = np.array([[[1, 0, 0]], [[1, 4, 4]], [[0, 0, 0]]])  # Dice 1, 0.2 and nothing
    assert FScore("pooled", 1.0).of(rows) == pytest.approx(4 / 12)
    assert FScore("per_image", 1.0).of(rows) == pytest.approx((1 + 0.2 + 1) / 3)
    assert FScore("per_image", 0.0).of(rows) == pytest.approx((1 + 0.2 + 0) / 3)


@pytest.mark.parametrize(
    ("average", "expected"), [("pooled", (4 / 8 + 0) / 2), ("per_image", ((1 + 1 / 3) / 2 + (1 + 0) / 2) / 2)]
)
def test_classes_are_averaged_last(average: str, expected: float) -> None:
    rows = np.array([[[1, 0, 0], [0, 0, 0]], [[1, 2, 2], [0, 3, 3]]])
    assert FScore(average, 1.0).of(rows) == pytest.approx(expected)


@pytest.mark.parametrize("average", ["pooled", "per_image"])
def test_statistics_add_up_over_rows(average: str) -> None:
    rows = np.random.default_rng(0).integers(0, 9, (6, 2, 3))
    score = FScore(average, 1.0)
    halves = score.statistics(rows[:2]).sum(0) + score.statistics(rows[2:]).sum(0)
    assert score.finish(halves).mean() == pytest.approx(score.of(rows))
    by_hand = [f_score(row, 1.0).mean() for row in rows] if average == "per_image" else f_score(rows.sum(0), 1.0)
    assert score.of(rows) == pytest.approx(np.mean(by_hand))


# Beside independent implementations


@pytest.mark.parametrize("seed", range(3))
def test_pooled_scores_equal_scikit_learn(seed: int) -> None:
    mask, target, valid = _random(seed)
    pairs = [(t[v], m[v]) for m, t, v in zip(mask, target, valid, strict=True)]
    for score, peer in (
        (FScore("pooled", 1.0), lambda *pair: fbeta_score(*pair, beta=1)),
        (FScore("pooled", 1.0, 0.5), lambda *pair: fbeta_score(*pair, beta=0.5)),
        (FScore("pooled", 1.0, 2.0), lambda *pair: fbeta_score(*pair, beta=2)),
        (IoU("pooled", 1.0), jaccard_score),
    ):
        scores = score.finish(score.measure(mask, target, valid, (1.0, 1.0)))
        assert scores == pytest.approx([peer(*pair) for pair in pairs], abs=1e-6)


@pytest.mark.parametrize("shape", [(4, 2, 9, 7), (5, 1, 12, 3)])
def test_scores_per_image_equal_monai(shape: tuple[int, ...]) -> None:
    mask, target, _ = _random(0, shape)
    mask[0], target[0] = False, False  # nothing in the first row
    target[1] = False
    planes = [torch.from_numpy(one) for one in (mask, target)]
    for score, peer in ((FScore("per_image", 1.0), compute_dice), (IoU("per_image", 1.0), compute_iou)):
        statistics = np.stack([score.measure(m, t, t | True, (1.0, 1.0)) for m, t in zip(mask, target, strict=True)])
        rows = peer(*planes, include_background=True, ignore_empty=False)
        assert statistics[..., 0] == pytest.approx(_empty_as_1(rows, mask, target), abs=1e-6)
        assert score_of(score, statistics) == pytest.approx(_empty_as_1(rows, mask, target).mean(), abs=1e-6)


def _empty_as_1(scores: torch.Tensor, mask: np.ndarray, target: np.ndarray) -> np.ndarray:
    """MONAI's scores (rows, C); where truth is empty, Dice and IoU have conventions of their own there."""
    return np.where(target.any((2, 3)), scores.numpy(), ~mask.any((2, 3)))


@pytest.mark.parametrize("empty", [0.0, 0.5, 1.0])
def test_iou_by_hand(empty: float) -> None:
    counts = np.array([[0, 0, 0], [3, 0, 0], [0, 2, 0], [0, 0, 2], [3, 1, 2]])
    np.testing.assert_allclose(iou(counts, empty), [empty, 1, 0, 0, 0.5])
    assert IoU("pooled", empty).of(counts[:, None]) == pytest.approx(6 / 13)
    assert IoU("per_image", empty).of(counts[:, None]) == pytest.approx((empty + 1 + 0.5) / 5)
    assert IoU("pooled", empty).name == "IoU"


def test_every_metric_of_params_is_built_with_its_keys() -> None:
    given = {
        "average": "pooled",
        "empty": 0.5,
        "tolerance": 1.0,
        "spacing": [1, 2, 3],
        "thresholds": [0.5, 0.75],
        "beta": 2.0,
    }
    assert set(METRICS) == set(KEYS), "METRICS in tessera/metrics/build.py, KEYS in tessera/params/score.py"
    for metric, keys in KEYS.items():
        score = build_score(Score(metric=metric, direction="max", **{key: given[key] for key in keys}))
        assert isinstance(score, METRICS[metric])
        assert (score.unit, score.from_counts) == (
            "item" if metric in ("surface_dice", "hausdorff", "uw_madison") else "row",
            metric in ("dice", "iou", "fbeta"),
        )
        hash(score)
        mask, target, valid = _random(0, (2, 3, 9, 7)) if score.unit == "item" else _random(0)
        assert score_of(score, score.measure(mask, target, valid, (1.0, 1.0, 1.0))[None]) <= 1

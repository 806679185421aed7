"""Surface scores beside surface-distance (DeepMind), MONAI and scipy, and by hand."""

from collections.abc import Callable

import numpy as np
import pytest
import surface_distance
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from scipy import ndimage
from scipy.spatial.distance import directed_hausdorff
from surface_distance import lookup_tables

from tessera.metrics import surface
from tessera.metrics.score import Score, score_of
from tessera.metrics.surface import Hausdorff, SurfaceDice, UWMadison, hausdorff_distance, surface_overlap
from tessera.metrics.surface_elements import sizes

POOLED, PER_IMAGE = (SurfaceDice(1.0, average, 1.0) for average in ("pooled", "per_image"))
SCORES = [POOLED, PER_IMAGE, SurfaceDice(0.0, "pooled", 1.0), Hausdorff(1.0), UWMadison()]
ONES = (1.0, 1.0, 1.0)


@pytest.fixture(autouse=True)
def _numpy_2(monkeypatch: pytest.MonkeyPatch) -> None:
    """surface-distance still says np.Inf."""
    monkeypatch.setattr(np, "Inf", np.inf, raising=False)


def _blobs(seed: int, shape: tuple[int, ...], share: float = 0.3) -> np.ndarray:
    """A mask of blobs, some of which touch the border."""
    values = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 1.5)
    return values > np.quantile(values, 1 - share)


def _item(seed: int, shape: tuple[int, ...] = (2, 5, 14, 11)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mask, target and valid of two classes."""
    mask, target = (np.stack([_blobs(10 * seed + n + c, shape[1:]) for c in range(shape[0])]) for n in (0, 5))
    return mask, target, np.random.default_rng(seed).random(shape) < 0.9


# Surface Dice


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 0.5), (1.0, 1.0, 1.0), (2.0, 1.0, 0.7), (0.3, 1.1, 5.0)])
def test_every_surface_element_is_as_large_as_in_surface_distance(spacing: tuple[float, ...]) -> None:
    two = len(spacing) == 2
    table = (
        lookup_tables.create_table_neighbour_code_to_contour_length(spacing)
        if two
        else lookup_tables.create_table_neighbour_code_to_surface_area(spacing)
    )
    kernel = lookup_tables.ENCODE_NEIGHBOURHOOD_2D_KERNEL if two else lookup_tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL
    ours = sizes(spacing)
    for code, size in enumerate(ours):
        inside = code >> np.arange(kernel.size) & 1
        assert size == pytest.approx(table[(kernel.ravel() * inside).sum()], abs=1e-9)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # MONAI warns of a keyword of its own
@pytest.mark.parametrize("tolerance", [0.0, 0.5, 1.0, 2.3])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 0.5), (1.0, 1.0, 1.0), (2.0, 1.0, 0.7)])
@pytest.mark.parametrize("seed", range(3))
def test_surface_dice_equals_surface_distance_and_monai(
    seed: int, spacing: tuple[float, ...], tolerance: float
) -> None:
    shape = (19, 23) if len(spacing) == 2 else (7, 12, 10)
    mask, target = _blobs(seed, shape), _blobs(seed + 50, shape)
    within, total = surface_overlap(mask, target, spacing, tolerance)
    distances = surface_distance.compute_surface_distances(target, mask, spacing)
    peer = surface_distance.compute_surface_dice_at_tolerance(distances, tolerance)
    assert within / total == pytest.approx(peer, abs=1e-6)
    planes = [torch.from_numpy(one)[None, None] for one in (mask, target)]
    monai = compute_surface_dice(*planes, [tolerance], include_background=True, spacing=spacing, use_subvoxels=True)
    assert within / total == pytest.approx(monai.item(), abs=1e-6)


def test_random_noise_scores_as_in_surface_distance() -> None:
    rng = np.random.default_rng(0)
    for shape in ((30, 20), (8, 9, 10)):
        mask, target = rng.random(shape) < 0.5, rng.random(shape) < 0.02
        for tolerance in (0, 1, 2):
            within, total = surface_overlap(mask, target, (1.0,) * len(shape), tolerance)
            distances = surface_distance.compute_surface_distances(target, mask, (1,) * len(shape))
            peer = surface_distance.compute_surface_dice_at_tolerance(distances, tolerance)
            assert within / total == pytest.approx(peer, abs=1e-6)


def test_surface_dice_of_a_square_beside_its_neighbour_by_hand() -> None:
    """A pixel's contour is a diamond of four sides of √½. Of a pixel and the one beside it two corners are common."""
    mask, target = np.zeros((2, 1, 1, 5, 5), bool)
    mask[0, 0, 2, 2] = target[0, 0, 2, 3] = True
    valid = np.ones_like(mask)
    for tolerance, expected in ((0.0, 0.5), (0.9, 0.5), (1.0, 1.0)):
        score = SurfaceDice(tolerance, "pooled", 1.0)
        statistics = score.measure(mask, target, valid, ONES)
        assert statistics[0, 1] == pytest.approx(2 * 4 * np.sqrt(0.5))
        assert score.finish(statistics) == pytest.approx([expected])
    wide = SurfaceDice(1.0, "pooled", 1.0, spacing=(1.0, 1.0, 2.0))  # its neighbour lies 2 away
    assert wide.finish(wide.measure(mask, target, valid, ONES)) == pytest.approx([0.5])
    assert POOLED.finish(POOLED.measure(mask, target, valid, (1.0, 1.0, 2.0))) == pytest.approx([0.5])


def test_surface_dice_pooled_weighs_items_by_their_surface_and_per_image_does_not() -> None:
    items = [_item(seed) for seed in range(4)]
    areas = np.array(
        [[surface_overlap(m & v, t & v, ONES, 1.0) for m, t, v in zip(*item, strict=True)] for item in items]
    )
    for score, by_hand in (
        (POOLED, areas.sum(0)[:, 0] / areas.sum(0)[:, 1]),
        (PER_IMAGE, (areas[..., 0] / areas[..., 1]).mean(0)),
    ):
        statistics = np.stack([score.measure(*item, ONES) for item in items])
        assert score_of(score, statistics) == pytest.approx(by_hand.mean())


def test_the_faces_say_their_names() -> None:
    assert [score.name for score in SCORES[1:]] == [
        "surface Dice at 1", "surface Dice at 0", "1 − Hausdorff", "0.4 Dice + 0.6 Hausdorff",
    ]  # fmt: skip


# Hausdorff


@pytest.mark.parametrize("shape", [(19, 23), (7, 12, 10)])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sparse", [0, 1], ids=["by distances everywhere", "by a tree of points"])
def test_hausdorff_equals_scipy_on_the_pixels(
    shape: tuple[int, ...], seed: int, sparse: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surface, "SPARSE", sparse)
    spacing = (2.0, 1.0, 0.7)[-len(shape) :]
    mask, target = _blobs(seed, shape), _blobs(seed + 50, shape, 0.1)
    points = [np.argwhere(one) * spacing for one in (mask, target)]
    expected = max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])
    assert hausdorff_distance(mask, target, spacing) == pytest.approx(expected, abs=1e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # MONAI warns of a keyword of its own
@pytest.mark.parametrize("shape", [(19, 23), (7, 12, 10)])
@pytest.mark.parametrize("seed", range(3))
def test_hausdorff_equals_monai_where_all_pixels_are_border(shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask, target = rng.random(shape) < 0.03, rng.random(shape) < 0.05
    planes = [torch.from_numpy(one)[None, None] for one in (mask, target)]
    monai = compute_hausdorff_distance(*planes, include_background=True).item()
    assert hausdorff_distance(mask, target, (1.0,) * len(shape)) == pytest.approx(monai, abs=1e-6)


def test_hausdorff_by_hand() -> None:
    mask, target = np.zeros((2, 1, 1, 6, 8), bool)
    mask[0, 0, 1, 1] = target[0, 0, 1, 2] = target[0, 0, 4, 5] = True  # the farthest pixel lies (3, 4) away
    valid = np.ones_like(mask)
    assert Hausdorff(1.0).measure(mask, target, valid, ONES).tolist() == [[1 - 5 / 10, 1]]
    deep = [np.repeat(plane, 2, 1) for plane in (mask, target, valid)]
    assert Hausdorff(1.0).measure(*deep, (9.0, 1.0, 1.0))[0, 0] == pytest.approx(1 - 5 / np.sqrt(18**2 + 100))
    fixed = Hausdorff(1.0, spacing=ONES)
    assert fixed.measure(*deep, (9.0, 1.0, 1.0))[0, 0] == pytest.approx(1 - 5 / np.sqrt(4 + 100))


# UW-Madison


def test_uw_madison_by_hand() -> None:
    mask, target = np.zeros((2, 1, 3, 6, 8), bool)
    mask[0, 0, 1, 1] = target[0, 0, 1, 1] = target[0, 0, 1, 2] = True  # Dice 2/3
    target[0, 1, 1, 1] = True  # Dice 0; the third slice is empty in both, and does not count
    score, valid = UWMadison(), np.ones_like(mask)
    statistics = score.measure(mask, target, valid, (5.0, 2.0, 2.0))  # voxels count, not their size
    assert statistics == pytest.approx(np.array([[2 / 3, 2, 1 - 1 / np.sqrt(9 + 36 + 64), 1]]))
    assert score.finish(statistics) == pytest.approx([0.4 / 3 + 0.6 * (1 - 1 / np.sqrt(109))])
    assert score.finish(score.measure(valid & False, valid & False, valid, ONES)).tolist() == [1]
    assert score.finish(score.measure(valid & False, target, valid, ONES)).tolist() == [0]


def test_uw_madison_averages_slices_and_volumes_of_all_items() -> None:
    items, score = [_item(seed) for seed in range(3)], UWMadison()
    statistics = np.stack([score.measure(*item, ONES) for item in items])
    dice, far = [], []
    for mask, target, valid in items:
        for one, other in zip(mask & valid, target & valid, strict=True):
            shared = 2 * (one & other).sum((1, 2)) / (one.sum((1, 2)) + other.sum((1, 2)))
            points = np.argwhere(one), np.argwhere(other)
            distance = max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])
            dice.append(shared)
            far.append(1 - distance / np.linalg.norm(one.shape))
    expected = np.mean([0.4 * np.mean(dice[c::2]) + 0.6 * np.mean(far[c::2]) for c in (0, 1)])
    assert score_of(score, statistics) == pytest.approx(expected)


# Laws of all of them


@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.name)
@pytest.mark.parametrize("shape", [(2, 5, 14, 11), (1, 1, 14, 11)])
def test_ignored_pixels_change_nothing(score: Score, shape: tuple[int, ...]) -> None:
    mask, target, valid = _item(0, shape)
    other, labels, _ = _item(1, shape)
    valid[..., :5] = False
    expected = score.measure(mask, target, valid, ONES)
    scrambled = np.where(valid, mask, other), np.where(valid, target, labels)
    np.testing.assert_array_equal(score.measure(*scrambled, valid, ONES), expected)
    assert (score.measure(*scrambled, valid | True, ONES) != expected).any()


@pytest.mark.parametrize(
    "build",
    [
        lambda empty: SurfaceDice(1.0, "pooled", empty),
        lambda empty: SurfaceDice(1.0, "per_image", empty),
        lambda empty: Hausdorff(empty),
    ],
)
def test_an_empty_pair_scores_what_was_declared_and_half_a_pair_0(build: Callable[[float], Score]) -> None:
    full = np.zeros((1, 3, 6, 6), bool)
    full[0, 1, 2:4, 2:4] = True
    nothing, valid = np.zeros_like(full), np.ones_like(full)
    for empty in (0.0, 0.5, 1.0):
        score = build(empty)
        pairs = (nothing, nothing), (full, nothing), (nothing, full), (full, full)
        scores = [score.finish(score.measure(*pair, valid, ONES)).item() for pair in pairs]
        assert scores == pytest.approx([empty, 0, 0, 1])


@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.name)
def test_an_item_of_one_slice_is_measured_in_the_plane(score: Score) -> None:
    mask, target, valid = _item(3, (1, 1, 14, 11))
    flat = score.measure(mask, target, valid, (7.0, 1.0, 1.0))
    np.testing.assert_allclose(flat, score.measure(mask, target, valid, ONES))
    if score is POOLED:
        within, total = surface_overlap((mask & valid)[0, 0], (target & valid)[0, 0], (1.0, 1.0), 1.0)
        np.testing.assert_allclose(flat, [[within, total]])

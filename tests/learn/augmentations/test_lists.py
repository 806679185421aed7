"""Every list, on every kind of window."""

import pickle
from collections.abc import Callable

import numpy as np
import pytest

from tessera.learn.augmentations.lists import LISTS
from tessera.learn.augmentations.trial import leaves
from tessera.params.augment import LISTS as NAMES

GEOMETRY = {"D4", "Affine", "Elastic"}
WINDOWS = [("stain", 3, 1)] + [
    (name, channels, channels if name == "volume" else 1)
    for name in ("light", "medium", "heavy", "volume")
    for channels in (1, 3, 5, 9)
    if name != "volume" or channels > 1
]  # list, channels of the stack, slices


def _window(channels: int, classes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(channels)
    labels = random.choice(np.array([0, 1, 255], np.uint8), (32, 32, classes))
    return random.integers(0, 256, (32, 32, channels), np.uint8), labels[..., 0] if classes == 1 else labels


def test_the_schema_knows_the_names() -> None:
    assert set(NAMES) == LISTS.keys(), "LISTS in tessera/params/augment.py and tessera/learn/augmentations/lists.py"


@pytest.mark.parametrize("classes", ["a", "abc", "abcdef"])
@pytest.mark.parametrize(("name", "channels", "slices"), WINDOWS)
def test_windows_and_labels_keep_their_kind(
    build: Callable, name: str, channels: int, slices: int, classes: str
) -> None:
    apply = build(name, channels // slices, classes, slices=slices)
    image, labels = _window(channels, len(classes))
    seen = set()
    for seed in range(25):
        changed, moved = apply(image, labels, seed)
        assert (changed.shape, changed.dtype) == (image.shape, np.uint8)
        assert (moved.shape, moved.dtype) == (labels.shape, np.uint8)
        assert set(np.unique(moved)) <= {0, 1, 255}
        seen.add(changed.tobytes())
    assert len(seen) > 5


@pytest.mark.parametrize(("name", "channels", "slices"), [one for one in WINDOWS if one[1] in (3, 9)])
def test_the_seed_alone_decides(build: Callable, name: str, channels: int, slices: int) -> None:
    image, labels = _window(channels)
    first = build(name, channels // slices, slices=slices)
    second = pickle.loads(pickle.dumps(first))  # as in a loader process
    changed = {seed: first(image, labels, seed) for seed in range(15)}
    np.random.seed(1)
    for seed in reversed(range(15)):
        for one, other in zip(second(image, labels, seed), changed[seed], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", ["light", "medium", "heavy", "volume"])
def test_geometry_keeps_labels_on_their_structures(build: Callable, name: str, classes: int) -> None:
    """Labels are a threshold of the image; after the list's geometry, each at its most, they still are."""
    y, x = np.mgrid[:64, :64]
    image = np.clip(127 + 12 * (x - 24 + 6 * np.sin(y / 6)), 0, 255).astype(np.uint8)[..., None].repeat(3, 2)
    label = (image[..., 0] > 127).astype(np.uint8)
    labels = label if classes == 1 else np.stack([label, 1 - label, label * 255], 2)
    moves = [entry | {"p": 1} for entry in leaves([name]) if entry["name"] in GEOMETRY]
    apply = build(moves, 1, "abc"[:classes], slices=3, size=64)
    for seed in range(25):
        changed, moved = apply(image, labels, seed)
        expected = changed[..., 0] > 127
        planes = [moved == 1] if classes == 1 else [moved[..., 0] == 1, moved[..., 1] == 0, moved[..., 2] == 255]
        assert min((plane == expected).mean() for plane in planes) > 0.97
        assert 0.05 < expected.mean() < 0.95


@pytest.mark.parametrize("name", [name for name in LISTS if name != "stain"])
def test_all_eight_orientations_come(build: Callable, name: str) -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    labels = np.random.default_rng(0).choice(np.array([0, 1, 255], np.uint8), (32, 32))
    apply = build([leaf for leaf in leaves([name]) if leaf["name"] == "D4"], slices=3)
    seen = {apply(image, labels, seed)[1].tobytes() for seed in range(150)}
    turns = [np.rot90(side, k) for side in (labels, labels[:, ::-1]) for k in range(4)]
    assert seen == {np.ascontiguousarray(turn).tobytes() for turn in turns}


def test_elastic_moves_pixels_smoothly_and_by_a_share_of_a_cell(build: Callable) -> None:
    y, x = np.mgrid[:128, :128].astype(np.uint8)
    image, labels = np.stack([y, x], 2) + np.uint8(64), np.zeros((128, 128), np.uint8)
    apply = build([{"name": "Elastic", "strength": 0.2, "p": 1}], 2, size=128)
    inner = np.s_[24:104, 24:104]
    shifts = np.stack([apply(image, labels, seed)[0].astype(int)[inner] - image[inner] for seed in range(20)])
    assert 1.5 < shifts.std() < 4  # 0.2 of a cell of 16 px is 3.2 px, less between the points of the grid
    assert np.abs(np.diff(shifts, axis=1)).max() <= 4


def test_slices_change_each_for_itself_and_the_middle_one_never_drops(build: Callable) -> None:
    image, labels = np.full((32, 32, 10), 100, np.uint8), np.zeros((32, 32), np.uint8)
    jitter = build([{"name": "SliceJitter", "contrast": 0, "brightness": 0.2, "p": 1}], 2, slices=5)
    drop = build([{"name": "SliceDropout", "most": 0.5, "p": 1}], 2, slices=5)
    counts = set()
    for seed in range(30):
        slices = jitter(image, labels, seed)[0].reshape(32, 32, 5, 2)
        assert (slices == slices[:1, :1, :, :1]).all(), "a slice changes as a whole"
        assert len(np.unique(slices[0, 0, :, 0])) > 2
        assert np.abs(slices.astype(int) - 100).max() <= 51
        slices = drop(image, labels, seed)[0].reshape(32, 32, 5, 2)
        black = (slices == 0).all((0, 1, 3))
        assert (slices[:, :, ~black] == 100).all()
        assert not black[2]
        counts.add(int(black.sum()))
    assert counts == {1, 2}

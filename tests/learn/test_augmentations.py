import numpy as np
import pytest

from tessera.learn.augmentations import build_augmentation
from tessera.params.model import Augment

OFF = {"flip": False, "rot90": False}
GEOMETRY = {"scale": 0.3, "rotate": 45}
COLOUR = {"brightness": 0.3, "contrast": 0.3}


def _window(channels: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(channels)
    labels = np.zeros((32, 32), np.uint8)
    labels[5:20, 8:17], labels[22:, :9] = 1, 255
    return rng.integers(0, 256, (32, 32, channels), np.uint8), labels


@pytest.mark.parametrize("channels", [1, 3, 5, 9])
def test_shape_type_and_label_set_are_kept(channels: int) -> None:
    apply = build_augmentation(Augment(**GEOMETRY | COLOUR))
    image, labels = _window(channels)
    for seed in range(30):
        changed, changed_labels = apply(image, labels, seed)
        assert (changed.shape, changed.dtype) == (image.shape, np.uint8)
        assert (changed_labels.shape, changed_labels.dtype) == (labels.shape, np.uint8)
        assert set(np.unique(changed_labels)) <= {0, 1, 255}


@pytest.mark.parametrize("augment", [{}, GEOMETRY | COLOUR, {"hue": 20, "saturation": 40}])
def test_the_seed_alone_decides_the_changes(augment: dict) -> None:
    image, labels = _window(3)
    first, second = (build_augmentation(Augment(**augment)) for _ in range(2))
    changed = {seed: first(image, labels, seed) for seed in range(12)}
    np.random.default_rng(5).random(100)
    np.random.seed(1)
    for seed in reversed(range(12)):  # another order, another instance, another global state
        for one, other in zip(second(image, labels, seed), changed[seed], strict=True):
            np.testing.assert_array_equal(one, other)
    assert len({image.tobytes() for image, _ in changed.values()}) > 1


@pytest.mark.parametrize("augment", [{}, OFF | {"flip": True}, OFF | {"rot90": True}, COLOUR])
def test_labels_move_with_the_pixels(augment: dict) -> None:
    labels = np.random.default_rng(0).choice(np.array([0, 1, 255], np.uint8), (32, 32))
    apply = build_augmentation(Augment(**augment))
    image = np.where(labels == 255, 220, np.where(labels == 1, 120, 20)).astype(np.uint8)[..., None]
    for seed in range(20):
        changed, moved = apply(image, labels, seed)
        means = [changed[..., 0][moved == value] for value in (0, 1, 255)]
        assert means[0].max() < means[1].min() <= means[1].max() < means[2].min()


def test_rotated_and_scaled_labels_stay_on_their_structures() -> None:
    image, labels = _window(1)
    image = np.where(labels == 1, 250, 5).astype(np.uint8)[..., None]
    apply = build_augmentation(Augment(**OFF | GEOMETRY))
    for seed in range(20):
        changed, moved = apply(image, labels, seed)
        assert ((changed[..., 0] > 127) == (moved == 1)).mean() > 0.97


def test_the_image_that_is_given_stays_as_it_is() -> None:
    image, labels = _window(3)
    before = image.copy(), labels.copy()
    for seed in range(10):
        build_augmentation(Augment(**GEOMETRY | COLOUR))(image, labels, seed)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(labels, before[1])


def test_all_switched_off_changes_nothing() -> None:
    image, labels = _window(3)
    for found, given in zip(build_augmentation(Augment(**OFF))(image, labels, 0), (image, labels), strict=True):
        np.testing.assert_array_equal(found, given)


def test_flips_and_turns_reach_all_eight_orientations() -> None:
    image, labels = _window(1)
    apply = build_augmentation(Augment())
    seen = {apply(image, labels, seed)[0].tobytes() for seed in range(150)}
    turns = [np.rot90(side, k) for side in (image, image[:, ::-1]) for k in range(4)]
    assert seen == {np.ascontiguousarray(turn).tobytes() for turn in turns}


def test_changes_are_drawn_independently_of_each_other() -> None:
    """All four pairs of (mirrored or not, brightness changed or not) come about equally often."""
    image = np.zeros((8, 8, 1), np.uint8)
    image[:, :3] = 100
    apply = build_augmentation(Augment(**OFF | {"flip": True, "brightness": 0.5}))
    pairs = []
    for seed in range(200):
        changed = apply(image, np.zeros((8, 8), np.uint8), seed)[0]
        pairs.append((bool(changed[0, 0] < changed[0, -1]), int(changed.max()) != 100))
    shares = {pair: pairs.count(pair) / 200 for pair in ((False, False), (False, True), (True, False), (True, True))}
    assert all(0.15 < share < 0.35 for share in shares.values()), shares

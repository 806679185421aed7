import random

import albumentations
import cv2
import numpy as np
import pytest

from tessera.learn.augmentations.augmentation import Augmentation
from tessera.learn.augmentations.build import build_augmentation
from tessera.params.model import Model
from tessera.tasks import Binary

OFF = {"flip": False, "rot90": False}
GEOMETRY = {"scale": 0.3, "rotate": 45}
COLOUR = {"brightness": 0.3, "contrast": 0.3}


def _build(augment: dict, channels: int = 1) -> Augmentation:
    model = Model(
        decoder="Unet", encoder="resnet18", size=32, epochs=1, batch=1, lr=1, loss={"bce": 1}, augment=augment
    )
    return build_augmentation(model, channels, Binary(["a"]))


def _window(channels: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(channels)
    labels = np.zeros((32, 32), np.uint8)
    labels[5:20, 8:17], labels[22:, :9] = 1, 255
    return rng.integers(0, 256, (32, 32, channels), np.uint8), labels


@pytest.mark.parametrize("channels", [1, 3, 5, 9])
def test_shape_type_and_label_set_are_kept(channels: int) -> None:
    apply = _build(GEOMETRY | COLOUR, channels)
    image, labels = _window(channels)
    for seed in range(30):
        changed, changed_labels = apply(image, labels, seed)
        assert (changed.shape, changed.dtype) == (image.shape, np.uint8)
        assert (changed_labels.shape, changed_labels.dtype) == (labels.shape, np.uint8)
        assert set(np.unique(changed_labels)) <= {0, 1, 255}


@pytest.mark.parametrize("augment", [{}, GEOMETRY | COLOUR, {"hue": 20, "saturation": 40}])
def test_the_seed_alone_decides_the_changes(augment: dict) -> None:
    image, labels = _window(3)
    first, second = (_build(augment, 3) for _ in range(2))
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
    apply = _build(augment)
    image = np.where(labels == 255, 220, np.where(labels == 1, 120, 20)).astype(np.uint8)[..., None]
    for seed in range(20):
        changed, moved = apply(image, labels, seed)
        means = [changed[..., 0][moved == value] for value in (0, 1, 255)]
        assert means[0].max() < means[1].min() <= means[1].max() < means[2].min()


def test_rotated_and_scaled_labels_stay_on_their_structures() -> None:
    image, labels = _window(1)
    image = np.where(labels == 1, 250, 5).astype(np.uint8)[..., None]
    apply = _build(OFF | GEOMETRY)
    for seed in range(20):
        changed, moved = apply(image, labels, seed)
        assert ((changed[..., 0] > 127) == (moved == 1)).mean() > 0.97


def test_the_image_that_is_given_stays_as_it_is() -> None:
    image, labels = _window(3)
    before = image.copy(), labels.copy()
    for seed in range(10):
        _build(GEOMETRY | COLOUR, 3)(image, labels, seed)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(labels, before[1])


def test_all_switched_off_changes_nothing() -> None:
    image, labels = _window(3)
    for found, given in zip(_build(OFF, 3)(image, labels, 0), (image, labels), strict=True):
        np.testing.assert_array_equal(found, given)


def test_flips_and_turns_reach_all_eight_orientations() -> None:
    image, labels = _window(1)
    apply = _build({})
    seen = {apply(image, labels, seed)[0].tobytes() for seed in range(150)}
    turns = [np.rot90(side, k) for side in (image, image[:, ::-1]) for k in range(4)]
    assert seen == {np.ascontiguousarray(turn).tobytes() for turn in turns}


def test_changes_are_drawn_independently_of_each_other() -> None:
    """All four pairs of (mirrored or not, brightness changed or not) come about equally often."""
    image = np.zeros((8, 8, 1), np.uint8)
    image[:, :3] = 100
    apply = _build(OFF | {"flip": True, "brightness": 0.5})
    pairs = []
    for seed in range(200):
        changed = apply(image, np.zeros((8, 8), np.uint8), seed)[0]
        pairs.append((bool(changed[0, 0] < changed[0, -1]), int(changed.max()) != 100))
    shares = {pair: pairs.count(pair) / 200 for pair in ((False, False), (False, True), (True, False), (True, True))}
    assert all(0.15 < share < 0.35 for share in shares.values()), shares


def test_a_seed_means_what_it_always_meant() -> None:
    """Old trainings go on to the same bytes: these transforms, in this order, drawing from one stream."""
    compose = albumentations.Compose(
        [
            albumentations.HorizontalFlip(p=0.5),
            albumentations.VerticalFlip(p=0.5),
            albumentations.RandomRotate90(p=1),
            albumentations.Affine(
                scale=(0.7, 1.3), rotate=(-45, 45), mask_interpolation=0, border_mode=cv2.BORDER_REFLECT_101, p=0.5
            ),
            albumentations.RandomBrightnessContrast(brightness_limit=0.3, contrast_limit=0.2, p=0.5),
            albumentations.HueSaturationValue(hue_shift_limit=9, sat_shift_limit=20, val_shift_limit=0, p=0.5),
        ]
    )
    image, labels = _window(3)
    ranges = {**GEOMETRY, "brightness": 0.3, "contrast": 0.2, "hue": 9, "saturation": 20}
    apply = _build(ranges, 3)
    for seed in range(30):
        compose.set_random_state(np.random.default_rng(seed), random.Random(seed))
        expected = compose(image=image, mask=labels)
        changed, moved = apply(image, labels, seed)
        np.testing.assert_array_equal(changed, expected["image"])
        np.testing.assert_array_equal(moved, expected["mask"])

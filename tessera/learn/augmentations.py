"""Random changes of training windows. The only module that touches albumentations (2.0.8, the last MIT release)."""

import os
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import asks the network for a newer version otherwise

import albumentations
import cv2
import numpy as np

if TYPE_CHECKING:
    from tessera.params.model import Augment

Augmentation = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


def build_augmentation(augment: "Augment") -> Augmentation:
    """A function of image (H, W, C) uint8, labels (H, W) or (H, W, K) uint8 and a seed, returning both changed alike.

    The seed alone decides the changes. Labels are never blended: they stay in their label set.
    """
    compose = albumentations.Compose([*_geometry(augment), *_colour(augment)])

    def apply(image: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        # One stream for all transforms: set_random_seed would give each the same numbers, and so the same choices.
        compose.set_random_state(np.random.default_rng(seed), random.Random(seed))
        changed = compose(image=image, mask=labels)
        return changed["image"], changed["mask"]

    return apply


def _geometry(augment: "Augment") -> list[albumentations.BasicTransform]:
    transforms = []
    if augment.flip:
        transforms += [albumentations.HorizontalFlip(p=0.5), albumentations.VerticalFlip(p=0.5)]
    if augment.rot90:
        transforms.append(albumentations.RandomRotate90(p=1))
    if augment.scale or augment.rotate:
        transforms.append(
            albumentations.Affine(
                scale=(1 - augment.scale, 1 + augment.scale),
                rotate=(-augment.rotate, augment.rotate),
                mask_interpolation=cv2.INTER_NEAREST,
                border_mode=cv2.BORDER_REFLECT_101,
                p=0.5,
            )
        )
    return transforms


def _colour(augment: "Augment") -> list[albumentations.BasicTransform]:
    transforms = []
    if augment.brightness or augment.contrast:
        transforms.append(
            albumentations.RandomBrightnessContrast(
                brightness_limit=augment.brightness, contrast_limit=augment.contrast, p=0.5
            )
        )
    if augment.hue or augment.saturation:
        transforms.append(
            albumentations.HueSaturationValue(
                hue_shift_limit=augment.hue, sat_shift_limit=augment.saturation, val_shift_limit=0, p=0.5
            )
        )
    return transforms

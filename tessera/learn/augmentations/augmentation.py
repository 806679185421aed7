"""Transforms, one after the other."""

import random

import numpy as np

from tessera.learn.augmentations.library import albumentations


class Augmentation:
    """A function of image (H, W, S·C) uint8, labels (H, W) or (H, W, K) uint8 and a seed, returning both changed alike.

    The seed alone decides the changes. Labels are never blended: they stay in their label set.
    """

    def __init__(self, transforms: list[albumentations.BasicTransform | albumentations.BaseCompose]):
        self.compose = albumentations.Compose(transforms)

    def __call__(self, image: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        # One stream for all transforms: set_random_seed would give each the same numbers, and so the same choices.
        self.compose.set_random_state(np.random.default_rng(seed), random.Random(seed))
        changed = self.compose(image=image, mask=labels)
        return changed["image"], changed["mask"]

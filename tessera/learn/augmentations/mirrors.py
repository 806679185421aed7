"""Transforms that may turn an image into its mirror image, and left into right with it.

A mirror image shows the left one of a pair where and as the right one was: whatever reverses orientation (either flip,
either transposition) swaps paired classes; a rotation, by 180 degrees too, does not. No other rule agrees with itself
once flips and turns follow each other: a vertical flip is a horizontal one, turned by 180 degrees.
"""

import numpy as np

from tessera.errors import InputError
from tessera.learn.augmentations.library import albumentations

REVERSING = {"h", "v", "t", "hvt"}  # of the eight elements of D4


class Mirror:
    """Labels (H, W, K) of classes that change places in a mirror image.

    order: class k of the mirror image is class order[k] of the image; the builder sets it. None where nothing swaps.
    """

    order: list[int] | None = None

    def apply_to_mask(self, mask: np.ndarray, *args: object, **params: object) -> np.ndarray:
        moved = super().apply_to_mask(mask, *args, **params)
        reversing = params.get("group_element", "h") in REVERSING
        return moved[..., self.order] if reversing and self.order else moved


class HorizontalFlip(Mirror, albumentations.HorizontalFlip): ...


class VerticalFlip(Mirror, albumentations.VerticalFlip): ...


class Transpose(Mirror, albumentations.Transpose): ...


class D4(Mirror, albumentations.D4): ...


class SquareSymmetry(Mirror, albumentations.SquareSymmetry): ...


class TimeReverse(Mirror, albumentations.TimeReverse): ...


def refuse_hidden(transform: object) -> None:
    """Raises InputError for an affine map that may mirror: of it the classes would not know."""
    if not isinstance(transform, albumentations.Affine):
        return
    name, pairs = type(transform).__name__, list(transform.scale.values())
    if min(map(min, pairs)) <= 0:
        raise InputError(
            f"augment: {name}: scale must be above 0, got {transform.scale}: a negative one mirrors, and paired classes "
            "would not swap; HorizontalFlip and VerticalFlip do so"
        )
    if sum(max(map(abs, angles)) for angles in transform.shear.values()) >= 90:
        raise InputError(
            f"augment: {name}: shear along x and y must stay below 90 degrees together, got {transform.shear}: beyond, it "
            "mirrors; one number or range counts for both"
        )

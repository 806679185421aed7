"""The section of ranges as entries of a list."""

from typing import TYPE_CHECKING

from tessera.learn.augmentations.lists import REFLECT_101

if TYPE_CHECKING:
    from tessera.params.augment import Augment, Entry


def entries_of(augment: "Augment") -> list["Entry"]:
    """The transforms of ranges that are not off. Their order is part of what a seed means."""
    entries = []
    if augment.flip:
        entries += [{"name": "HorizontalFlip", "p": 0.5}, {"name": "VerticalFlip", "p": 0.5}]
    if augment.rot90:
        entries.append({"name": "RandomRotate90", "p": 1})
    if augment.scale or augment.rotate:
        scale, rotate = (1 - augment.scale, 1 + augment.scale), (-augment.rotate, augment.rotate)
        entries.append({"name": "Affine", "scale": scale, "rotate": rotate, "border_mode": REFLECT_101, "p": 0.5})
    if augment.brightness or augment.contrast:
        limits = {"brightness_limit": augment.brightness, "contrast_limit": augment.contrast}
        entries.append({"name": "RandomBrightnessContrast", **limits, "p": 0.5})
    if augment.hue or augment.saturation:
        limits = {"hue_shift_limit": augment.hue, "sat_shift_limit": augment.saturation, "val_shift_limit": 0}
        entries.append({"name": "HueSaturationValue", **limits, "p": 0.5})
    return entries

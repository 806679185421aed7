"""The section of ranges as the transforms that it stands for."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tessera.params.model import Augment


def entries_of(augment: "Augment") -> list[dict[str, object]]:
    """Those that are not off, in the order of the workers' path."""
    entries = []
    if augment.flip:
        entries += [{"name": "HorizontalFlip", "p": 0.5}, {"name": "VerticalFlip", "p": 0.5}]
    if augment.rot90:
        entries.append({"name": "RandomRotate90", "p": 1})
    if augment.scale or augment.rotate:
        scale = [1 - augment.scale, 1 + augment.scale]
        entries.append({"name": "Affine", "scale": scale, "rotate": augment.rotate, "border_mode": 4, "p": 0.5})
    if augment.brightness or augment.contrast:
        limits = {"brightness_limit": augment.brightness, "contrast_limit": augment.contrast}
        entries.append({"name": "RandomBrightnessContrast", **limits, "p": 0.5})
    if augment.hue or augment.saturation:
        limits = {"hue_shift_limit": augment.hue, "sat_shift_limit": augment.saturation, "val_shift_limit": 0}
        entries.append({"name": "HueSaturationValue", **limits, "p": 0.5})
    return entries

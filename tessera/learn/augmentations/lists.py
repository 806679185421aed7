"""What the names stand for: entries as a person writes them in params.yaml. In use they are never edited: a changed
list is a new name."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tessera.params.augment import Entry

REFLECT_101 = 4  # cv2.BORDER_REFLECT_101, as albumentations takes it

TURNS = {"name": "D4", "p": 1}  # all eight orientations alike


def _affine(smallest: float, largest: float, degrees: float, p: float) -> dict[str, object]:
    return {
        "name": "Affine", "scale": [smallest, largest], "rotate": [-degrees, degrees], "border_mode": REFLECT_101, "p": p,
    }  # fmt: skip


def _light(limit: float, p: float) -> dict[str, object]:
    limits = {"brightness_limit": [-limit, limit], "contrast_limit": [-limit, limit]}
    return {"name": "RandomBrightnessContrast", **limits, "p": p}


BLUR = {"name": "GaussianBlur", "sigma_limit": [0.5, 1.5]}
NOISE = {"name": "GaussNoise", "std_range": [0.02, 0.06]}
COARSE = {"name": "Downscale", "scale_range": [0.5, 0.75], "interpolation_pair": {"downscale": 1, "upscale": 1}}
CUTOUT = {
    "name": "CoarseDropout", "num_holes_range": [1, 4], "hole_height_range": [0.05, 0.2],
    "hole_width_range": [0.05, 0.2], "p": 0.3,
}  # fmt: skip

LISTS: dict[str, list["Entry"]] = {
    "light": [TURNS, _light(0.1, p=0.5)],
    "medium": [
        TURNS,
        _affine(0.8, 1.2, 30, p=0.5),
        _light(0.2, p=0.5),
        {"name": "OneOf", "transforms": [BLUR, NOISE], "p": 0.2},
    ],
    "heavy": [
        TURNS,
        _affine(0.7, 1.4, 45, p=0.7),
        {"name": "Elastic", "p": 0.3},
        _light(0.3, p=0.7),
        {"name": "RandomGamma", "gamma_limit": [70, 140], "p": 0.3},
        {"name": "OneOf", "transforms": [BLUR, NOISE, COARSE], "p": 0.3},
        CUTOUT,
    ],
    "stain": [{"name": "StainJitter", "p": 0.8}],  # H&E; to stand beside another list
    "volume": [
        TURNS,
        _affine(0.8, 1.25, 45, p=0.5),
        {"name": "Elastic", "p": 0.2},
        {"name": "SliceJitter", "p": 0.5},
        {"name": "SliceDropout", "p": 0.2},
        _light(0.2, p=0.5),
        {"name": "OneOf", "transforms": [BLUR, NOISE], "p": 0.2},
        CUTOUT,
    ],
}

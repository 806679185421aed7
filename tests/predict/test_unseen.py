from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from tessera.learn.augmentations.build import build_augmentation
from tessera.params.model import Model
from tessera.predict.unseen import unseen_views
from tessera.predict.views import TURNS, turned
from tessera.tasks import Binary

VIEWS = [*TURNS, "alternating", "identity@0.8", "rot90@1.2"]
ROTATIONS, FLIPS = ["rot180", "rot90", "rot270"], ["flip_h", "flip_v", "rot180"]
OFF = {"flip": False, "rot90": False}


@pytest.mark.parametrize(
    ("augment", "seen"),
    [
        ({}, [*TURNS, "alternating"]),
        (OFF, ["identity"]),
        ({"rot90": False}, ["identity", *FLIPS, "alternating"]),
        ({"flip": False}, ["identity", *ROTATIONS]),
        ({"scale": 0.2}, VIEWS),
        ({"scale": 0.1}, [*TURNS, "alternating"]),
        (OFF | {"scale": 0.2}, ["identity", "identity@0.8"]),
        ("light", [*TURNS, "alternating"]),
        (["medium"], VIEWS),
        ([{"name": "HorizontalFlip", "p": 0.5}], ["identity", "flip_h"]),
        ([{"name": "OneOf", "transforms": ["medium", {"name": "MotionBlur"}]}], VIEWS),
        ([{"name": "Transpose"}, {"name": "VerticalFlip"}], ["identity", "transpose", "flip_v", "rot90"]),
        ([{"name": "HorizontalFlip"}, {"name": "VerticalFlip", "p": 0.0}], ["identity", "flip_h"]),
        ([{"name": "Sequential", "transforms": ["light"], "p": 0}, {"name": "Transpose"}], ["identity", "transpose"]),
        (
            [{"name": "OneOf", "transforms": [{"name": "HorizontalFlip"}, {"name": "VerticalFlip"}]}],
            ["identity", "flip_h", "flip_v"],
        ),
        ([{"name": "Affine", "rotate": [-180, 180]}], ["identity", *ROTATIONS]),
        ([{"name": "Affine", "rotate": [-100, 0]}], ["identity", "rot270"]),
        ([{"name": "Affine", "rotate": 45}, {"name": "Affine", "rotate": 90}], ["identity", "rot90"]),
        (OFF | {"rotate": 180}, ["identity", *ROTATIONS]),
        (OFF | {"rotate": 89}, ["identity"]),
        ([{"name": "Rotate"}], ["identity", *ROTATIONS[1:]]),
        ([{"name": "SafeRotate", "limit": [80, 180]}], ["identity", *ROTATIONS[:2]]),
        (
            [{"name": "ShiftScaleRotate", "rotate_limit": 90, "scale_limit": 0.2}],
            ["identity", *ROTATIONS[1:], "identity@0.8", "rot90@1.2"],
        ),
        ([{"name": "RandomResizedCrop", "size": [32, 32]}, "light"], [*TURNS, "alternating", "rot90@1.2"]),
        ([{"name": "RandomResizedCrop", "size": [32, 32], "scale": [0.8, 1]}, "light"], [*TURNS, "alternating"]),
        ([{"name": "RandomSizedCrop", "size": [32, 32], "min_max_height": [16, 40]}, "light"], VIEWS),
        ([{"name": "RandomSizedCrop", "size": [32, 32], "min_max_height": [30, 32]}, "light"], [*TURNS, "alternating"]),
        ([{"name": "Affine", "scale": {"y": [0.5, 1]}}], ["identity"]),
        ([{"name": "Affine", "scale": [0.8, 1.2], "p": 0}], ["identity"]),
        ([{"name": "RandomScale", "scale_limit": 0.2}], ["identity", "identity@0.8"]),
        ([{"name": "RandomScale", "scale_limit": [0, 0.5]}, "light"], [*TURNS, "alternating", "rot90@1.2"]),
        ([{"name": "Affine", "scale": {"x": [0.5, 1], "y": [0.5, 1]}}], ["identity", "identity@0.8"]),
    ],
)
def test_views_are_seen_that_augment_makes(model: Callable[..., Model], augment: object, seen: list[str]) -> None:
    assert unseen_views(VIEWS, model(augment=augment)) == [view for view in VIEWS if view not in seen]


ONES = ["HorizontalFlip", "VerticalFlip", "Transpose", "RandomRotate90", "D4", "SquareSymmetry"]


@pytest.mark.parametrize(
    "entry",
    [
        *({"name": name} for name in ONES),
        *({"name": "Affine", "rotate": [angle, angle]} for angle in (-90, 0, 90, 180, 270)),
        *({"name": name, "limit": [angle, angle]} for name in ("Rotate", "SafeRotate") for angle in (-90, 90, 180)),
        *({"name": "ShiftScaleRotate", "rotate_limit": [a, a], "scale_limit": 0, "shift_limit": 0} for a in (-90, 90)),
        {"name": "OneOf", "transforms": [{"name": "Transpose"}, {"name": "VerticalFlip"}]},
        {"name": "Sequential", "transforms": [{"name": "Transpose"}, {"name": "VerticalFlip"}, {"name": "Transpose"}]},
    ],
    ids=str,
)
def test_turns_are_those_that_albumentations_makes(model: Callable[..., Model], entry: dict) -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (5, 5), np.uint8)
    image = cv2.resize(coarse, (32, 32), interpolation=cv2.INTER_CUBIC)[..., None]
    apply = build_augmentation(model(augment=[entry | {"p": 0.9}]), 1, Binary(["a"]))
    changed = [apply(image, image[..., 0] * 0, seed)[0] for seed in range(150)]
    made = {
        name for name in TURNS if any(_near(one, turned(torch.tensor(image).permute(2, 0, 1), name)) for one in changed)
    }
    assert made | {"identity"} == set(TURNS).difference(unseen_views(list(TURNS), model(augment=[entry])))


def _near(image: np.ndarray, turn: torch.Tensor) -> bool:
    """But for the border, and for the px by which a rotation may shift it."""
    inner = np.s_[2:-2, 2:-2]
    return np.abs(image[inner].astype(int) - turn.permute(1, 2, 0).numpy()[inner]).mean() < 20

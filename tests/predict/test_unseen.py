from collections.abc import Callable

import pytest

from tessera.params.model import Model
from tessera.predict.unseen import unseen_views
from tessera.predict.views import TURNS

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
        ([{"name": "Transpose"}, {"name": "VerticalFlip"}], [*TURNS, "alternating"]),
        ([{"name": "RandomScale", "scale_limit": 0.2}], ["identity", "identity@0.8"]),
        ([{"name": "RandomScale", "scale_limit": [0, 0.5]}, "light"], [*TURNS, "alternating", "rot90@1.2"]),
        ([{"name": "Affine", "scale": {"x": [0.5, 1], "y": [0.5, 1]}}], ["identity", "identity@0.8"]),
    ],
)
def test_views_are_seen_that_augment_makes(model: Callable[..., Model], augment: object, seen: list[str]) -> None:
    assert unseen_views(VIEWS, model(augment=augment)) == [view for view in VIEWS if view not in seen]

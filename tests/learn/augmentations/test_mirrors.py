"""data.flip_pairs in training: whatever shows the mirror image swaps left and right."""

from collections.abc import Callable

import numpy as np
import pytest

from tessera.errors import InputError
from tessera.learn.augmentations.trial import leaves

PAIRS = [["l", "r"]]
IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 1), np.uint8)
TURNS = [np.rot90(IMAGE, k) for k in range(4)]


def _mirrored(changed: np.ndarray) -> bool:
    """Whether the image is one of the four mirror images; it must be one of the eight orientations."""
    if any(np.array_equal(changed, turn) for turn in TURNS):
        return False
    assert any(np.array_equal(changed[:, ::-1], turn) for turn in TURNS)
    return True


def _labels() -> np.ndarray:
    """Of l, m and r: each full of a value of its own, so that only a swap changes them."""
    return np.stack([np.full((32, 32), value, np.uint8) for value in (0, 255, 1)], 2)


@pytest.mark.parametrize("name", ["HorizontalFlip", "VerticalFlip", "Transpose", "D4", "SquareSymmetry", "TimeReverse"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_mirror_image_swaps_and_a_turn_does_not(build: Callable, name: str, wrapped: bool) -> None:
    entries = [{"name": name}, {"name": "RandomRotate90", "p": 0.5}]
    if wrapped:
        entries = [{"name": "OneOf", "transforms": entries, "p": 1}]
    apply, seen = build(entries, 1, "lmr", PAIRS), set()
    for seed in range(40):
        changed, moved = apply(IMAGE, _labels(), seed)
        mirrored = _mirrored(changed)
        seen.add(mirrored)
        np.testing.assert_array_equal(moved[0, 0], [1, 255, 0] if mirrored else [0, 255, 1])
    assert seen == {True, False}


@pytest.mark.parametrize("augment", [{"flip": True, "rot90": True}, "light"])
def test_flips_and_turns_of_ranges_and_lists_agree(build: Callable, augment: object) -> None:
    if isinstance(augment, str):
        augment = [entry for entry in leaves([augment]) if entry["name"] == "D4"]
    apply = build(augment, 1, "lmr", PAIRS)
    found = [(_mirrored(changed), moved[0, 0, 0]) for changed, moved in (apply(IMAGE, _labels(), s) for s in range(60))]
    assert {(False, 0), (True, 1)} == set(found)


def test_without_pairs_classes_stay(build: Callable) -> None:
    apply = build("light", 1, "lmr")
    for seed in range(20):
        np.testing.assert_array_equal(apply(IMAGE, _labels(), seed)[1], _labels())


@pytest.mark.parametrize("scale", [-1, [-1, 1], [0, 1], {"x": -1, "y": 1}, {"y": [-1.2, -0.8]}, {"x": 1, "y": 0.0}])
@pytest.mark.parametrize("name", ["Affine", "OneOf"])
def test_a_scale_that_mirrors_is_refused(build: Callable, name: str, scale: object) -> None:
    entry = {"name": "Affine", "scale": scale, "p": 0.1}
    with pytest.raises(InputError, match="Affine: scale must be above 0, got .* mirrors"):
        build([entry if name == "Affine" else {"name": name, "transforms": [entry]}], 1, "lmr", PAIRS)


@pytest.mark.parametrize("shear", [50, [-50, 50], {"x": 60, "y": 60}, {"x": [0, 100], "y": 0}])
def test_a_shear_that_mirrors_is_refused(build: Callable, shear: object) -> None:
    with pytest.raises(InputError, match="Affine: shear along x and y must stay below 90 degrees together"):
        build([{"name": "Affine", "shear": shear}], 1, "lmr", PAIRS)


def test_shears_and_scales_that_do_not_mirror_are_taken(build: Callable) -> None:
    build([{"name": "Affine", "shear": [-30, 30], "scale": {"x": [0.5, 2], "y": [0.8, 1.2]}}], 1, "lmr", PAIRS)

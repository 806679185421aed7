from collections.abc import Callable

import numpy as np
import pytest

from tessera.errors import InputError
from tessera.learn.augmentations.stain import HED

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
LABELS = np.zeros((32, 32), np.uint8)


def _stain(build: Callable, sigma: float, image: np.ndarray = IMAGE, seed: int = 0) -> np.ndarray:
    return build([{"name": "StainJitter", "sigma": sigma, "p": 1}], 3)(image, LABELS, seed)[0]


def test_without_jitter_nothing_changes(build: Callable) -> None:
    np.testing.assert_array_equal(_stain(build, 0.0), IMAGE)


def test_changes_grow_with_sigma_and_depend_on_the_seed(build: Callable) -> None:
    small, large = (np.abs(_stain(build, sigma).astype(int) - IMAGE).mean() for sigma in (0.02, 0.2))
    assert 0 < small < large / 4
    assert not np.array_equal(_stain(build, 0.1, seed=1), _stain(build, 0.1, seed=2))


def test_amounts_of_stains_are_scaled_and_shifted(build: Callable) -> None:
    """What is drawn, found again from four colours: each stain's amount is a straight line of what it was."""
    amounts = np.array([[0.2, 0.3, 0.1], [0.6, 0.2, 0.2], [0.3, 0.7, 0.1], [0.2, 0.2, 0.5]])
    colours = 256 * np.exp(-amounts @ HED) - 1
    image = np.rint(colours).astype(np.uint8).reshape(2, 2, 3).repeat(16, 0).repeat(16, 1)
    for seed in range(5):
        changed = _stain(build, 0.1, image, seed)[::16, ::16].reshape(4, 3).astype(float)
        found = -np.log((changed + 1) / 256) @ np.linalg.inv(HED)
        for k in range(3):
            slope, shift = np.polyfit(amounts[:, k], found[:, k], 1)
            assert 0.87 < slope < 1.13
            assert abs(shift) < 0.13
            np.testing.assert_allclose(found[:, k], slope * amounts[:, k] + shift, atol=0.02)


@pytest.mark.parametrize("channels", [1, 2, 4, 9])
def test_images_that_are_not_rgb_are_refused(build: Callable, channels: int) -> None:
    with pytest.raises(
        InputError, match=rf"StainJitter cannot change .* with {channels} channel\(s\): stains are of RGB"
    ):
        build("stain", channels)

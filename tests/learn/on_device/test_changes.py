"""Changes of batches beside albumentations, of which each does the same."""

import inspect

import albumentations
import numpy as np
import pytest
import torch

from tessera.learn.augmentations.stain import HED
from tessera.learn.on_device.build import ALWAYS, CHANGES, Changes
from tessera.learn.on_device.change import NotOnDeviceError
from tessera.learn.on_device.pixels import pack, send_packed
from tessera.learn.on_device.turns import TURNS, Turn, draw_turn

ALL = [
    {"name": "Affine", "scale": [0.7, 1.3], "rotate": 40, "border_mode": 4},
    {"name": "Elastic"},
    {"name": "SliceJitter"},
    {"name": "SliceDropout"},
    {"name": "RandomBrightnessContrast"},
    {"name": "RandomGamma"},
    {"name": "HueSaturationValue"},
    {"name": "GaussianBlur", "sigma_limit": [0.5, 1.5]},
    {"name": "GaussNoise"},
    {"name": "CoarseDropout"},
    {"name": "StainJitter"},
    {"name": "Downscale", "scale_range": [0.4, 0.8], "interpolation_pair": {"downscale": 1, "upscale": 1}},
]


def smooth(size: int = 48) -> np.ndarray:
    """An image (H, W, 3) uint8 with all its colours changing slowly."""
    place = np.linspace(0, 3, size)
    waves = np.stack([np.sin(place[:, None] * (1 + c) + 2 * np.cos(place[None] * 2 + c)) for c in range(3)], -1)
    return np.rint(127.5 + 120 * waves).astype(np.uint8)


def changed(entries: list[dict], image: np.ndarray, labels: np.ndarray, seeds: list[int], slices: int = 1) -> tuple:
    """The image and labels (H, W), a copy for each seed, changed in one batch: (B, H, W, C) and (B, H, W)."""
    windows = torch.from_numpy(image.transpose(2, 0, 1)).repeat(len(seeds), 1, 1, 1)
    planes = torch.from_numpy(labels)[None].repeat(len(seeds), 1, 1, 1)
    randoms = [np.random.default_rng(seed) for seed in seeds]
    changes = Changes(entries, slices)
    _, *drawn = send_packed(pack([np.arange(len(seeds)), *changes.draw(randoms)]), windows.device)
    windows, planes = changes.apply(windows, planes, drawn)
    return windows.movedim(1, -1).numpy(), planes[:, 0].numpy()


@pytest.mark.parametrize(
    ("entry", "most"),
    [
        ({"name": "RandomBrightnessContrast", "brightness_limit": [0.13, 0.13], "contrast_limit": [-0.2, -0.2]}, 0),
        ({"name": "RandomBrightnessContrast", "brightness_limit": [-0.3, -0.3], "contrast_limit": [0.4, 0.4]}, 0),
        ({"name": "RandomGamma", "gamma_limit": [70, 70]}, 1),
        ({"name": "RandomGamma", "gamma_limit": [140, 140]}, 1),
        ({"name": "HueSaturationValue", "hue_shift_limit": [20, 20], "sat_shift_limit": [0, 0], "val_shift_limit": [0, 0]}, 9),
        ({"name": "HueSaturationValue", "hue_shift_limit": [-50, -50], "sat_shift_limit": [30, 30], "val_shift_limit": 0}, 9),
        ({"name": "HueSaturationValue", "hue_shift_limit": 0, "sat_shift_limit": [-40, -40], "val_shift_limit": [9, 9]}, 5),
        ({"name": "Affine", "scale": [0.8, 0.8], "rotate": [30, 30], "border_mode": 4}, 4),
        ({"name": "Affine", "scale": [1.3, 1.3], "rotate": [-75, -75], "border_mode": 4}, 4),
        ({"name": "Downscale", "scale_range": [0.5, 0.5], "interpolation_pair": {"downscale": 1, "upscale": 1}}, 1),
        ({"name": "Downscale", "scale_range": [0.7, 0.7], "interpolation_pair": {"downscale": 1, "upscale": 1}}, 2),
        ({"name": "GaussianBlur", "sigma_limit": [1.5, 1.5]}, 1),
        ({"name": "GaussianBlur", "sigma_limit": [30, 30]}, 1),  # mirrored in from beyond what a window has
        ({"name": "Affine", "scale": 0.8, "rotate": 30, "border_mode": 4}, 4),
    ],
)  # fmt: skip
def test_the_same_draw_makes_the_same_image(entry: dict, most: int) -> None:
    """Up to how finely OpenCV cuts hues and places."""
    image, labels = smooth(), (smooth()[..., 0] > 128).astype(np.uint8)
    arguments = {
        key: tuple(value) if isinstance(value, list) else value for key, value in entry.items() if key != "name"
    }
    peer = getattr(albumentations, entry["name"])(**arguments, p=1)(image=image, mask=labels)
    windows, moved = changed([entry | {"p": 1}], image, labels, [0])
    assert np.abs(windows[0].astype(int) - peer["image"]).max() <= most
    assert (moved[0] == peer["mask"]).mean() > 0.995


@pytest.mark.parametrize(
    ("name", "argument", "ours", "given"),
    [
        ("RandomGamma", "gamma_limit", "gamma", 150), ("RandomGamma", "gamma_limit", "gamma", (150, 50)),
        ("GaussianBlur", "sigma_limit", "sigma", 1.5), ("GaussianBlur", "sigma_limit", "sigma", (2, 1)),
        ("Affine", "rotate", "rotate", 30), ("Affine", "rotate", "rotate", (30, -30)),
        ("Affine", "scale", "scale", 0.8), ("Affine", "scale", "scale", (1.2, 0.8)),
        ("RandomBrightnessContrast", "brightness_limit", "brightness", 0.3),
        ("RandomBrightnessContrast", "contrast_limit", "contrast", (0.3, -0.1)),
    ],
)  # fmt: skip
def test_a_number_or_a_falling_range_means_what_it_means_to_albumentations(
    name: str, argument: str, ours: str, given: float | tuple
) -> None:
    border = {"border_mode": 4} if name == "Affine" else {}
    theirs = getattr(getattr(albumentations, name)(**{argument: given}, **border), argument)
    (change,) = Changes([{"name": name, argument: given, **border}], slices=1).changes
    assert list(getattr(change, ours)) == sorted(theirs["x"] if isinstance(theirs, dict) else theirs)
    change.draw(np.random.default_rng(0))


@pytest.mark.parametrize(
    "name", sorted({*CHANGES, *TURNS, "OneOf"} - {"Elastic", "SliceJitter", "SliceDropout", "StainJitter"})
)
def test_a_name_has_arguments_and_a_default_of_albumentations(name: str) -> None:
    theirs = inspect.signature(getattr(albumentations, name)).parameters
    assert theirs["p"].default == (1 if name in ALWAYS else 0.5)
    ours = inspect.signature(CHANGES[name]).parameters if name in CHANGES else {}
    for key, argument in ours.items():
        assert np.array_equal(argument.default, theirs[key].default)


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry["name"])
def test_a_window_is_changed_by_its_own_random_numbers_alone(entry: dict) -> None:
    """Not by its place in the batch, or by the others; and some are not changed."""
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (32, 32, 3), np.uint8)
    labels = random.choice(np.array([0, 1, 255], np.uint8), (32, 32))
    slices = 3 if "Slice" in entry["name"] else 1
    together = changed([entry], image, labels, list(range(24)), slices)
    alone = changed([entry], image, labels, [17], slices)
    again = changed([entry], image, labels, list(reversed(range(24))), slices)
    for one, single, other in zip(together, alone, again, strict=True):
        np.testing.assert_array_equal(one[17], single[0])
        np.testing.assert_array_equal(one, other[::-1])
        assert one.dtype == np.uint8
    same = (together[0] == image).all((1, 2, 3))
    assert 3 < same.sum() < 21
    assert len({window.tobytes() for window in together[0][~same]}) > 1
    assert set(np.unique(together[1])) <= {0, 1, 255}


@pytest.mark.parametrize("entries", [ALL[:1], ALL[1:2], ALL[:2]])
def test_warped_labels_stay_on_their_structures(entries: list[dict]) -> None:
    labels = (smooth()[..., 0] > 128).astype(np.uint8)
    image = np.repeat(labels[..., None] * 200, 3, axis=2)
    windows, moved = changed([entry | {"p": 1} for entry in entries], image, labels, list(range(20)))
    assert ((windows[..., 0] > 100) == (moved == 1)).mean() > 0.98
    assert len({mask.tobytes() for mask in moved}) == 20


@pytest.mark.parametrize("entry", ALL[:2], ids=lambda entry: entry["name"])
def test_black_and_white_stay_so_wherever_they_are_moved(entry: dict) -> None:
    """Means of pixels are among them: nothing is cut to 0…255."""
    for value in (0, 255):
        image, labels = np.full((40, 40, 3), value, np.uint8), np.zeros((40, 40), np.uint8)
        windows, _ = changed([entry | {"p": 1}], image, labels, list(range(40)))
        assert (windows == value).all()


def test_noise_is_normal_and_of_the_drawn_deviation() -> None:
    image, labels = np.full((96, 96, 3), 128, np.uint8), np.zeros((96, 96), np.uint8)
    windows, _ = changed([{"name": "GaussNoise", "std_range": [0.05, 0.05], "p": 1}], image, labels, [1, 2])
    noise = (windows.astype(float) - 128) / (0.05 * 255)
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
    assert abs((np.abs(noise) < 1).mean() - 0.683) < 0.03
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(noise[0, :, 1:].ravel(), noise[0, :, :-1].ravel())[0, 1]) < 0.03


def test_one_of_several_happens() -> None:
    """As often as its weight says, and never two."""
    to = [
        {"name": "RandomGamma", "gamma_limit": [50, 50], "p": 0.3},
        {"name": "RandomGamma", "gamma_limit": [200, 200], "p": 0.1},
    ]
    image, labels = np.full((4, 4, 3), 64, np.uint8), np.zeros((4, 4), np.uint8)
    windows, _ = changed([{"name": "OneOf", "transforms": to, "p": 0.8}], image, labels, list(range(500)))
    values, counts = np.unique(windows[:, 0, 0, 0], return_counts=True)
    assert values.tolist() == [16, 64, 127]
    np.testing.assert_allclose(counts / 500, [0.2, 0.2, 0.6], atol=0.06)


def test_slices_are_changed_each_for_itself_and_the_middle_one_is_never_blackened() -> None:
    image, labels = np.full((4, 4, 10), 100, np.uint8), np.zeros((4, 4), np.uint8)
    windows, _ = changed([{"name": "SliceJitter", "p": 1}], image, labels, [0, 1], slices=5)
    assert all(len(set(window[0, 0].tolist())) >= 4 for window in windows)
    assert (windows[..., ::2] == windows[..., 1::2]).all()
    windows, _ = changed([{"name": "SliceDropout", "most": 1.0, "p": 1}], image, labels, list(range(40)), slices=5)
    dropped = (windows[:, 0, 0, ::2] == 0).sum(1)
    assert set(dropped.tolist()) == {1, 2, 3, 4}
    assert (windows[..., 4:6] == 100).all()


def test_holes_are_black_within_their_sizes() -> None:
    image, labels = np.full((50, 50, 1), 9, np.uint8), np.ones((50, 50), np.uint8)
    windows, moved = changed(
        [{"name": "CoarseDropout", "num_holes_range": [1, 1], "p": 1}], image, labels, list(range(30))
    )
    for window in windows[..., 0]:
        rows, columns = np.nonzero(window == 0)
        assert 5 <= len(set(rows)) <= 10
        assert 5 <= len(set(columns)) <= 10
        assert len(rows) == len(set(rows)) * len(set(columns))
    assert (moved == 1).all()


def test_stains_are_scaled_and_shifted_as_densities() -> None:
    """One pixel, by the definition."""
    image, labels = np.array([[[200, 80, 120]]], np.uint8), np.zeros((1, 1), np.uint8)
    windows, _ = changed([{"name": "StainJitter", "sigma": 0.2, "p": 1}], image, labels, [3])
    random = np.random.default_rng(3)
    random.random()  # whether it happens
    scales, shifts = random.uniform(-0.2, 0.2, (2, 3))
    amounts = -np.log((image[0, 0] + 1.0) / 256) @ np.linalg.inv(HED)
    expected = 256 * np.exp(-(amounts * (1 + scales) + shifts) @ HED) - 1
    np.testing.assert_array_equal(windows[0, 0, 0], np.rint(expected.clip(0, 255)))


# Turns


def apply_turn(image: np.ndarray, turn: Turn) -> np.ndarray:
    image = image.swapaxes(0, 1) if turn.swapped else image
    image = image[::-1] if turn.up else image
    return image[:, ::-1] if turn.left else image


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["HorizontalFlip"], np.fliplr), (["VerticalFlip"], np.flipud), (["Transpose"], np.transpose),
        (["HorizontalFlip", "Transpose"], lambda image: np.fliplr(image).T),
        (["Transpose", "VerticalFlip"], lambda image: np.flipud(image.T)),
    ],
)  # fmt: skip
def test_turns_follow_each_other(names: list[str], expected: object) -> None:
    image = np.arange(9).reshape(3, 3)
    turn = draw_turn([{"name": name, "p": 1} for name in names], np.random.default_rng(0))
    np.testing.assert_array_equal(apply_turn(image, turn), expected(image))


@pytest.mark.parametrize(
    ("entries", "most"),
    [
        ([{"name": "D4", "p": 1}], 8), ([{"name": "RandomRotate90", "p": 1}], 4),
        ([{"name": "HorizontalFlip", "p": 0.5}, {"name": "VerticalFlip", "p": 0.5}, {"name": "RandomRotate90", "p": 1}], 8),
    ],
)  # fmt: skip
def test_all_orientations_come_equally_often(entries: list[dict], most: int) -> None:
    drawn = [draw_turn(entries, np.random.default_rng(seed)) for seed in range(1600)]
    image = np.arange(4).reshape(2, 2)
    seen, counts = np.unique([apply_turn(image, turn).ravel() for turn in drawn], axis=0, return_counts=True)
    assert len(seen) == most
    assert counts.min() > 0.75 * 1600 / most
    if most == 4:
        assert not any(turn.mirrors for turn in drawn)


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ([{"name": "Solarize"}], "Solarize"),
        ([{"name": "Affine", "shear": 4, "border_mode": 4}], "no shear of Affine"),
        ([{"name": "Affine", "rotate": 4}], "border_mode: 4"),
        ([{"name": "RandomGamma"}, {"name": "HorizontalFlip"}], "HorizontalFlip after another"),
        ([{"name": "OneOf", "transforms": [{"name": "RandomGamma"}, {"name": "Downscale"}]}], "Downscale"),
        ([{"name": "CoarseDropout", "hole_height_range": [4, 8]}], "CoarseDropout with holes in px"),
    ],
)  # fmt: skip
def test_what_this_path_does_not_have_is_named(entries: list[dict], named: str) -> None:
    with pytest.raises(NotOnDeviceError, match=named):
        Changes(entries, slices=1)

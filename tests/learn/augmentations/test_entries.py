"""Transforms written out in params.yaml."""

from collections.abc import Callable

import numpy as np
import pytest

from tessera.errors import InputError

BORDERS = [
    {"name": "Affine", "translate_percent": [0.3, 0.3]},
    {"name": "Perspective", "scale": [0.2, 0.2], "keep_size": True, "fit_output": True},
    {"name": "Rotate", "limit": [45, 45]},
    {"name": "ShiftScaleRotate", "shift_limit": [0.3, 0.3]},
    {"name": "OpticalDistortion", "distort_limit": [0.9, 0.9]},
    {"name": "OneOf", "transforms": [{"name": "Rotate", "limit": [30, 30]}]},
]


def _names(entry: dict) -> str:
    return entry["name"]


@pytest.mark.parametrize("classes", ["a", "abcdef"])
@pytest.mark.parametrize("entry", BORDERS, ids=_names)
def test_labels_from_beyond_the_border_are_ignored(build: Callable, entry: dict, classes: str) -> None:
    image = np.full((32, 32, 3), 200, np.uint8)
    labels = np.ones((32, 32, len(classes)) if len(classes) > 1 else (32, 32), np.uint8)
    changed, moved = build([entry | {"p": 1}], 3, classes)(image, labels, 0)
    filled = (changed == 0).all(2)
    assert 0.02 < filled.mean() < 0.9
    assert (moved[filled] == 255).all()
    assert (moved[(changed == 200).all(2)] != 0).all()


def test_what_a_person_writes_goes_before(build: Callable) -> None:
    image, labels = np.full((32, 32, 1), 200, np.uint8), np.ones((32, 32), np.uint8)
    shift = {"name": "Affine", "translate_percent": [0.3, 0.3], "fill_mask": 0, "p": 1}
    assert set(np.unique(build([shift])(image, labels, 0)[1])) == {0, 1}


def test_cutouts_keep_their_labels(build: Callable) -> None:
    """The network is to say what lies under them."""
    image, labels = np.full((32, 32, 1), 200, np.uint8), np.ones((32, 32), np.uint8)
    changed, moved = build([{"name": "CoarseDropout", "p": 1}])(image, labels, 0)
    assert (changed == 0).any()
    assert (moved == 1).all()


def test_lists_and_transforms_stand_side_by_side_and_inside_others(build: Callable) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    labels = np.zeros((32, 32), np.uint8)
    for entries in (
        [{"name": "HorizontalFlip", "p": 0.5}, {"name": "Affine", "scale": [0.9, 1.1]}, "stain"],
        ["medium", "stain"],
        [{"name": "OneOf", "transforms": ["light", {"name": "CLAHE", "p": 0.2}], "p": 1}],
        [{"name": "SomeOf", "n": 2, "transforms": [{"name": "Elastic"}, {"name": "Sharpen"}, {"name": "Transpose"}]}],
    ):
        apply = build(entries, 3)
        assert len({apply(image, labels, seed)[0].tobytes() for seed in range(20)}) > 3
    np.testing.assert_array_equal(build([], 3)(image, labels, 0)[0], image)


REFUSED = [
    ({"name": "HorisontalFlip"}, ["no transform is called 'HorisontalFlip'", "did you mean 'HorizontalFlip'", "Elastic"]),
    ({"name": "Affine", "scales": [0.9, 1.1]}, ["Affine has no argument 'scales'", "did you mean 'scale'", "shear"]),
    ({"name": "Elastic", "alpha": 3}, ["Elastic has no argument 'alpha'", "strength"]),
    ({"name": "Affine", "scale": "much"}, ["Affine does not take", "scale"]),
    ({"name": "Affine", "mask_interpolation": 1}, ["Affine", "labels are never blended"]),
    ({"name": "CoarseDropout", "fill_mask": 7}, ["CoarseDropout cannot change", "labels the value(s) [7]"]),
    ({"name": "Resize", "height": 16, "width": 16}, ["Resize cannot change", "(16, 16, 5)"]),
    ({"name": "Normalize", "mean": [0] * 5, "std": [1] * 5}, ["Normalize cannot change", "float32"]),
    ({"name": "RandomCrop", "height": 64, "width": 64}, ["RandomCrop cannot change windows of 32×32 px"]),
    ({"name": "HueSaturationValue"}, ["HueSaturationValue cannot change", "5 channel(s)", "models.<name>.augment"]),
    ({"name": "LongestMaxSize"}, ["LongestMaxSize does not take {'name': 'LongestMaxSize'}: Value error, Either max_size or max_size_hw must"]),
    ({"name": "GaussianBlur", "sigma_limit": [0, 0]}, ["GaussianBlur cannot change", "leaves nothing of an image"]),
    ({"name": "CLAHE"}, ["CLAHE cannot change", "5 channel(s)"]),
    ({"name": "OneOf", "transforms": [{"name": "Blur"}, {"name": "ToGray"}]}, ["ToGray cannot change", "5 channel(s)"]),
    ({"name": "OneOf", "transforms": [{"name": "Blur", "size": 3}]}, ["Blur has no argument 'size'"]),
    ({"name": "FDA"}, ["FDA"]),
    ({"name": "XYMasking", "num_masks_x": [0, 2], "mask_x_length": 5, "fill_mask": 4}, ["XYMasking cannot change", "labels the value(s) [4]"]),
    ({"name": "CoarseDropout", "fill_mask": 1}, ["CoarseDropout cannot change", "[1], which were not there"]),
    ({"name": "SelectiveChannelTransform", "transforms": [{"name": "Blur"}], "channels": [7]}, ["SelectiveChannelTransform cannot change"]),
    (
        {"name": "Sequential", "transforms": [{"name": "NoOp"}, {"name": "OneOf", "transforms": [{"name": "RandomScale", "scale_limit": [-0.01, 0.02]}]}]},
        ["RandomScale cannot change"],
    ),
    ({"name": "Lambda"}, ["Lambda changes by functions", "another transform"]),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "said"), REFUSED, ids=lambda value: str(value)[:50])
def test_what_cannot_be_is_refused_before_training(build: Callable, entry: dict, said: list[str]) -> None:
    with pytest.raises(InputError) as error:
        build([entry], 5)
    for piece in said:
        assert piece in str(error.value)


def test_what_fails_now_and_then_is_refused_too(build: Callable) -> None:
    """OpenCV takes two channels with kernels of 3 and 5 px, not with those of 7."""
    entry = {"name": "MedianBlur", "blur_limit": [3, 7], "p": 0.1}
    with pytest.raises(InputError, match=r"MedianBlur cannot change windows of 128×128 px with 2 channel\(s\)"):
        build([entry], 2, size=128)
    build([entry], 3, size=128)


def test_what_takes_whole_windows_alone_is_tried_on_whole_ones(build: Callable) -> None:
    build([{"name": "RandomSizedCrop", "min_max_height": [90, 128], "size": [128, 128]}], size=128)
    build([{"name": "OneOf", "transforms": [{"name": "Resize", "height": 128, "width": 128}]}], size=128)


def test_a_transform_that_draws_from_elsewhere_is_refused(build: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    from tessera.learn.augmentations import entries

    class Loose(entries.Elastic):
        def apply(self, img: np.ndarray, **params: object) -> np.ndarray:
            return np.random.default_rng().integers(0, 256, img.shape, np.uint8)

    monkeypatch.setitem(entries.OURS, "Loose", Loose)
    with pytest.raises(InputError, match="Loose cannot change .* no seed decides"):
        build([{"name": "Loose"}])


@pytest.mark.parametrize("name", ["CLAHE", "ColorJitter", "HueSaturationValue", "ISONoise", "RGBShift", "ToSepia"])
def test_rgb_images_take_what_is_for_them(build: Callable, name: str) -> None:
    build([{"name": name}], 3)

import numpy as np

from tessera.decide.cuts.threshold import threshold


def test_a_pixel_at_the_threshold_is_positive() -> None:
    assert threshold(np.array([[[127, 128, 129]]], np.uint8), [128]).tolist() == [[[False, True, True]]]


def test_each_class_has_its_own() -> None:
    blended = np.full((2, 2, 3), 100, np.uint8)
    assert threshold(blended, [100, 101]).any((1, 2)).tolist() == [True, False]

import numpy as np

from tessera.decide.blending import blend


def test_a_blend_is_the_rounded_weighted_mean() -> None:
    maps = np.random.default_rng(0).integers(0, 256, (3, 2, 9, 8)).astype(np.float32)
    expected = np.rint(np.tensordot([0.5, 0.25, 0.25], maps, 1))
    np.testing.assert_array_equal(blend(maps, [0.5, 0.25, 0.25]), expected)
    np.testing.assert_array_equal(blend(maps, [0, 1, 0]), maps[1])
    assert blend(maps, [0.1, 0.2, 0.7]).dtype == np.uint8


def test_a_blend_of_full_probabilities_does_not_wrap_around() -> None:
    assert (blend(np.full((3, 1, 2, 2), 255, np.float32), [0.4, 0.3, 0.3]) == 255).all()

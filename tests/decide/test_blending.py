import numpy as np
import pytest

from tessera.decide.blending import blend, ranks


def test_a_blend_is_the_rounded_weighted_mean() -> None:
    maps = np.random.default_rng(0).integers(0, 256, (3, 2, 9, 8)).astype(np.float32)
    expected = np.floor(np.tensordot([0.5, 0.25, 0.25], maps, 1) + 0.5)  # halves go up
    np.testing.assert_array_equal(blend(maps, [0.5, 0.25, 0.25]), expected)
    np.testing.assert_array_equal(blend(maps, [0, 1, 0]), maps[1])
    assert blend(maps, [0.1, 0.2, 0.7]).dtype == np.uint8


def test_a_blend_of_full_probabilities_does_not_wrap_around() -> None:
    assert (blend(np.full((3, 1, 2, 2), 255, np.float32), [0.4, 0.3, 0.3]) == 255).all()


def test_ranks_tell_what_share_of_a_map_is_as_high() -> None:
    rng = np.random.default_rng(0)
    maps = rng.integers(0, 256 * 4, (2, 3, 9, 14)).astype(np.float32) / 4
    found = ranks(maps)
    for plane, ranked in zip(maps.reshape(6, -1), found.reshape(6, -1), strict=True):
        as_high = [(plane >= value).mean() for value in plane]
        np.testing.assert_allclose(ranked, -255 / 5 * np.log10(as_high), rtol=1e-6)


def test_equal_values_have_equal_ranks_and_an_even_map_is_0() -> None:
    expected = [0, 0, 0, 255 / 5 * np.log10(4)]
    np.testing.assert_allclose(ranks(np.array([[[[0, 0, 0, 9]]]], np.float32)).ravel(), expected, rtol=1e-6)
    for value in (0, 255):
        assert not ranks(np.full((1, 1, 3, 4), value, np.float32)).any()


@pytest.mark.parametrize("share", [0.3, 0.01, 0.0002])
def test_ranks_tell_few_pixels_apart_as_well_as_many(share: float) -> None:
    values = np.random.default_rng(0).permutation(2**20).reshape(1, 1, 1024, 1024).astype(np.float32) / 2**12
    truth = values >= 256 * (1 - share)
    blended = blend(ranks(values), [1.0])[0]
    assert max(2 * (truth & (blended >= t)).sum() / (truth.sum() + (blended >= t).sum()) for t in range(1, 256)) > 0.97


def test_ranks_forget_how_sure_a_model_is() -> None:
    maps = np.random.default_rng(0).integers(0, 256, (1, 1, 20, 31)).astype(np.float32)
    np.testing.assert_array_equal(ranks(maps), ranks(maps / 4))
    np.testing.assert_array_equal(ranks(maps), ranks(np.sqrt(maps)))

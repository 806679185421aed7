import numpy as np
import pytest

from tessera.data.scaling import IDENTITY, Scaling, measure, normalisation

RNG = np.random.default_rng(0)


def _slices(dtype: type, count: int = 3) -> list[np.ndarray]:
    return [RNG.normal(9000, 2000, (37, 23, 1)).clip(0).astype(dtype) for _ in range(count)]


@pytest.mark.parametrize("percentiles", [(0.5, 99.5), (0, 100), (2, 98), (33.3, 66.6)])
def test_16_bit_percentiles_are_nearest_rank_over_all_slices(percentiles: tuple[float, float]) -> None:
    slices = _slices(np.uint16)
    expected = np.percentile(np.stack(slices), percentiles, method="inverted_cdf")
    assert measure(iter(slices), percentiles) == tuple(expected)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.float64])
def test_other_types_use_the_percentiles_of_all_slices(dtype: type) -> None:
    slices = _slices(dtype)
    np.testing.assert_allclose(measure(slices, (1, 99)), np.percentile(np.stack(slices), (1, 99)), rtol=1e-6)


def test_8_bit_stays_untouched() -> None:
    pixels = RNG.integers(50, 60, (5, 4, 3), np.uint8)
    scaling = measure([pixels], (0.5, 99.5))
    assert scaling == IDENTITY
    np.testing.assert_array_equal(scaling.apply(pixels), pixels)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_constant_image_becomes_constant_without_a_warning(dtype: type) -> None:
    pixels = np.full((4, 5, 1), 777, dtype)
    with np.errstate(all="raise"):
        found = measure([pixels], (0.5, 99.5)).apply(pixels)
    assert np.unique(found).size == 1


def test_black_and_white_become_0_and_255_and_the_rest_is_linear_between() -> None:
    pixels = np.array([[0, 100, 150, 200, 300, 65535]], np.uint16)
    assert Scaling(100, 200).apply(pixels).tolist() == [[0, 0, 128, 255, 255, 255]]
    assert Scaling(-1.0, 1.0).apply(np.array([-2.0, -1, 0.5, 1])).tolist() == [0, 0, 191, 255]


def test_a_missing_value_of_a_float_image_does_not_blacken_it() -> None:
    pixels = np.linspace(0, 1, 101, dtype=np.float32).reshape(1, 101, 1)
    pixels[0, 3] = np.nan
    scaling = measure([pixels], (0, 100))
    assert scaling == (0, 1)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 9])
def test_normalisation_has_a_number_a_channel(channels: int) -> None:
    mean, std = normalisation(channels)
    assert len(mean) == len(std) == channels
    assert np.mean(mean) == pytest.approx(0.449, abs=1e-3)

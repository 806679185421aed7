import numpy as np
import pytest

from tessera.data.scaling import IDENTITY, Counts, Scaling, count, measure, normalisation
from tessera.errors import InputError

RNG = np.random.default_rng(0)


def _slices(dtype: type, count: int = 3) -> list[np.ndarray]:
    return [
        RNG.normal(0 if np.dtype(dtype).kind == "f" else 9000, 2000, (37, 23, 1)).astype(dtype) for _ in range(count)
    ]


def _measure(slices: list[np.ndarray], percentiles: tuple[float, float]) -> Scaling:
    return measure(lambda uppers=(): count(iter(slices), uppers), percentiles)


@pytest.mark.parametrize("percentiles", [(0.5, 99.5), (0, 100), (2, 98), (33.3, 66.6)])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.float16, np.float32, np.float64])
def test_percentiles_are_nearest_rank_over_all_slices(dtype: type, percentiles: tuple[float, float]) -> None:
    slices = _slices(dtype)
    values = np.stack(slices).astype(np.float64 if np.dtype(dtype).kind in "ui" else np.float32)
    assert _measure(slices, percentiles) == tuple(np.percentile(values, percentiles, method="inverted_cdf"))


def test_a_float_needs_two_passes_and_16_bit_one() -> None:
    for dtype, passes in ((np.uint16, 1), (np.float32, 2)):
        slices, made = _slices(dtype), []

        def passing(uppers: tuple = (), slices: list = slices, made: list = made) -> Counts:
            made.append(uppers)
            return count(slices, uppers)

        measure(passing, (1, 99))
        assert len(made) == passes


def test_a_far_outlier_costs_no_precision() -> None:
    pixels = np.append(np.linspace(0, 1, 999, dtype=np.float32), np.float32(1e30))
    assert _measure([pixels], (0, 50)) == (0, np.sort(pixels)[499])


def test_a_data_set_of_two_types_is_refused() -> None:
    with pytest.raises(InputError, match=r"tile\.scaling dataset: some images are uint16, others float32"):
        count([*_slices(np.uint16), *_slices(np.float32)])


def test_8_bit_stays_untouched() -> None:
    pixels = RNG.integers(50, 60, (5, 4, 3), np.uint8)
    scaling = _measure([pixels], (0.5, 99.5))
    assert scaling == IDENTITY
    np.testing.assert_array_equal(scaling.apply(pixels), pixels)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_constant_image_becomes_constant_without_a_warning(dtype: type) -> None:
    pixels = np.full((4, 5, 1), 777, dtype)
    with np.errstate(all="raise"):
        found = _measure([pixels], (0.5, 99.5)).apply(pixels)
    assert np.unique(found).size == 1


def test_black_and_white_become_0_and_255_and_the_rest_is_linear_between() -> None:
    pixels = np.array([[0, 100, 150, 200, 300, 65535]], np.uint16)
    assert Scaling(100, 200).apply(pixels).tolist() == [[0, 0, 128, 255, 255, 255]]
    assert Scaling(-1.0, 1.0).apply(np.array([-2.0, -1, 0.5, 1])).tolist() == [0, 0, 191, 255]


def test_a_missing_value_of_a_float_image_does_not_blacken_it() -> None:
    pixels = np.linspace(0, 1, 101, dtype=np.float32).reshape(1, 101, 1)
    pixels[0, 3] = np.nan
    scaling = _measure([pixels], (0, 100))
    assert scaling == (0, 1)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 9])
def test_normalisation_has_a_number_a_channel(channels: int) -> None:
    mean, std = normalisation(channels)
    assert len(mean) == len(std) == channels
    assert np.mean(mean) == pytest.approx(0.449, abs=1e-3)


def test_16_bit_pixels_are_scaled_as_by_the_formula() -> None:
    pixels = np.arange(2**16, dtype=np.uint16)
    np.testing.assert_array_equal(Scaling(900, 7000).apply(pixels), Scaling(900, 7000).apply(pixels.astype(np.int32)))

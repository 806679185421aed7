import itertools

import cv2
import numpy as np
import pytest

from tessera.data.resampling import enlarge, resample_labels, resample_pixels, source_span, working_size

RNG = np.random.default_rng(0)
SCALES = [1.0, 0.5, 0.25, 1 / 3, 0.7, 0.9, 0.043, 1.5, 3.0]


def _bands(pixels: np.ndarray, *cuts: int) -> list[tuple[int, np.ndarray]]:
    """The rows of an image, cut before the rows `cuts`."""
    edges = [0, *cuts, len(pixels)]
    return [(y0, pixels[y0:y1]) for y0, y1 in itertools.pairwise(edges) if y1 > y0]


def _whole(bands: list[tuple[int, np.ndarray]]) -> np.ndarray:
    end = 0
    for y, rows in bands:
        assert y == end
        end += len(rows)
    return np.concatenate([rows for _, rows in bands])


def _cuttings(height: int) -> list[list[int]]:
    return [list(range(1, height)), [height // 2], [1, height - 1], sorted(RNG.choice(np.arange(1, height), 9, False))]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_pixels_by_bands_are_those_of_the_whole(scale: float, channels: int) -> None:
    pixels = RNG.integers(0, 256, (97, 113, channels), np.uint8)
    size, working = (97, 113), working_size(97, 113, scale)
    whole = _whole(list(resample_pixels(iter(_bands(pixels)), size, working)))
    assert whole.shape == (*working, channels)
    for cuts in _cuttings(97):
        np.testing.assert_array_equal(
            _whole(list(resample_pixels(iter(_bands(pixels, *cuts)), size, working))), whole
        )  # fmt: skip


@pytest.mark.parametrize("scale", SCALES)
def test_labels_by_bands_are_those_of_the_whole(scale: float) -> None:
    labels = cv2.resize(
        RNG.choice(np.array([0, 1, 255], np.uint8), (11, 13)), (113, 97), interpolation=cv2.INTER_NEAREST
    )
    size, working = (97, 113), working_size(97, 113, scale)
    whole = _whole(list(resample_labels(iter(_bands(labels)), size, working)))
    assert whole.shape == working
    assert set(np.unique(whole)) <= {0, 1, 255}
    for cuts in _cuttings(97):
        np.testing.assert_array_equal(
            _whole(list(resample_labels(iter(_bands(labels, *cuts)), size, working))), whole
        )  # fmt: skip


@pytest.mark.parametrize("scale", [0.5, 0.25, 1 / 3, 0.7, 0.9, 0.043])
def test_a_working_pixel_is_the_mean_of_its_area(scale: float) -> None:
    pixels = RNG.integers(0, 256, (97, 113, 3), np.uint8)
    working = working_size(97, 113, scale)
    found = _whole(list(resample_pixels(iter(_bands(pixels)), (97, 113), working)))
    expected = cv2.resize(pixels.astype(np.float64), working[::-1], interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(found, expected, atol=0.51)


@pytest.mark.parametrize("channels", [1, 3, 4, 5, 9])
def test_whole_areas_of_every_channel_are_averaged(channels: int) -> None:
    pixels = RNG.integers(0, 256, (12, 20, channels), np.uint8)
    expected = pixels.reshape(6, 2, 10, 2, channels).mean((1, 3))
    found = _whole(list(resample_pixels(iter(_bands(pixels, 3, 4)), (12, 20), (6, 10))))
    np.testing.assert_allclose(found, expected, atol=0.5)


@pytest.mark.parametrize("value", [0, 1, 127, 255])
@pytest.mark.parametrize("scale", SCALES)
def test_a_constant_stays_constant(value: int, scale: float) -> None:
    pixels = np.full((31, 37, 3), value, np.uint8)
    found = _whole(list(resample_pixels(iter(_bands(pixels, 7)), (31, 37), working_size(31, 37, scale))))
    assert (found == value).all()


def test_a_working_label_follows_the_majority_of_its_valid_area() -> None:
    blocks = {  # four pixels → one
        (0, 0, 0, 0): 0, (1, 0, 0, 0): 0, (1, 1, 0, 0): 1, (1, 1, 1, 1): 1,
        (255, 255, 255, 255): 255, (255, 255, 255, 1): 255, (255, 255, 1, 0): 1, (255, 255, 0, 0): 0, (255, 1, 0, 0): 0,
    }  # fmt: skip
    labels = np.concatenate([np.array(block, np.uint8).reshape(2, 2) for block in blocks], axis=1)
    found = _whole(list(resample_labels(iter(_bands(labels)), labels.shape, (1, len(blocks)))))
    assert found.tolist() == [list(blocks.values())]


@pytest.mark.parametrize("working", [(6, 10), (12, 20), (7, 11)])
def test_classes_are_resampled_each_for_itself(working: tuple[int, int]) -> None:
    labels = RNG.choice(np.array([0, 1, 255], np.uint8), (12, 20, 3))
    found = _whole(list(resample_labels(iter(_bands(labels, 5)), (12, 20), working)))
    for k in range(3):
        alone = _whole(list(resample_labels(iter(_bands(labels[..., k], 5)), (12, 20), working)))
        np.testing.assert_array_equal(found[..., k], alone)


def test_half_of_a_third_is_positive() -> None:
    """Nine pixels, three ignored and three positive: exactly half of the valid ones, not exact in binary."""
    labels = np.array([[1, 1, 1], [0, 0, 0], [255, 255, 255]], np.uint8)
    for turned in (labels, labels.T, labels[::-1]):
        assert next(resample_labels(iter(_bands(turned)), (3, 3), (1, 1)))[1].tolist() == [[1]]


@pytest.mark.parametrize("scale", SCALES)
def test_enlarged_bands_are_those_of_the_whole(scale: float) -> None:
    size, working = (97, 113), working_size(97, 113, scale)
    small = RNG.random((2, *working), np.float32)
    whole = enlarge(small, (0, 0), (0, 97), (0, size[1]), size, working)
    assert whole.shape == (2, 97, 113)
    for start, end in ((0, 1), (40, 41), (13, 77), (96, 97)):
        first, last = source_span(start, end, 97, working[0])
        np.testing.assert_array_equal(
            enlarge(small[:, first:last], (first, 0), (start, end), (0, size[1]), size, working), whole[:, start:end]
        )

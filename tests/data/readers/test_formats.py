from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from reading import read_image

from tessera.errors import InputError

RNG = np.random.default_rng(0)
GREY8 = RNG.integers(0, 256, (40, 30), np.uint8)
RGB8 = RNG.integers(0, 256, (40, 30, 3), np.uint8)
RGBA8 = RNG.integers(0, 256, (40, 30, 4), np.uint8)
GREY16 = RNG.integers(0, 2**16, (40, 30), np.uint16)
RGB16 = RNG.integers(0, 2**16, (40, 30, 3), np.uint16)
RGBA16 = RNG.integers(0, 2**16, (40, 30, 4), np.uint16)
FLOAT = RNG.normal(0, 100, (40, 30)).astype(np.float32)


def _write(path: Path, pixels: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
    else:  # OpenCV writes BGR(A)
        turned = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]] if pixels.ndim == 3 else pixels
        assert cv2.imwrite(str(path), turned)
    return path


def _luma(rgb: np.ndarray) -> np.ndarray:
    return (rgb[..., :3].astype(np.float64) * [0.299, 0.587, 0.114]).sum(-1)


@pytest.mark.parametrize("suffix", ["png", "tif", "npy"])
@pytest.mark.parametrize(
    "pixels", [GREY8, RGB8, RGBA8, GREY16, RGB16, RGBA16], ids=["grey8", "rgb8", "rgba8", "grey16", "rgb16", "rgba16"]
)
def test_every_format_reads_the_same_in_every_conversion(tmp_path: Path, suffix: str, pixels: np.ndarray) -> None:
    path = _write(tmp_path / f"image.{suffix}", pixels)
    colour = pixels.ndim == 3
    everything = read_image(path, "all")
    assert everything.dtype == pixels.dtype
    np.testing.assert_array_equal(everything, np.atleast_3d(pixels))
    rgb = read_image(path, "rgb")
    np.testing.assert_array_equal(rgb, pixels[..., :3] if colour else np.repeat(pixels[..., None], 3, 2))
    grey = read_image(path, "grey")
    assert grey.shape == (40, 30, 1)
    assert grey.dtype == pixels.dtype
    np.testing.assert_allclose(grey[..., 0], _luma(pixels) if colour else pixels, atol=0.51 if colour else 0)


def test_float_tiffs_keep_their_values(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_image(_write(tmp_path / "f.tif", FLOAT), "grey")[..., 0], FLOAT)


def test_a_jpeg_is_nearly_its_pixels(tmp_path: Path) -> None:
    smooth = cv2.GaussianBlur(RGB8, (0, 0), 5)
    path = _write(tmp_path / "smooth.jpg", smooth)
    assert np.abs(read_image(path, "rgb").astype(int) - smooth).max() < 12


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("how", ["planar", "imagej"])
def test_tiffs_of_separate_planes_become_channels_last(tmp_path: Path, how: str, count: int) -> None:
    planes = RNG.integers(0, 256, (count, 40, 30), np.uint8)
    if how == "imagej":
        tifffile.imwrite(tmp_path / "c.tif", planes, imagej=True, metadata={"axes": "CYX"})
    else:
        tifffile.imwrite(tmp_path / "c.tif", planes, photometric="minisblack", planarconfig="separate")
    np.testing.assert_array_equal(read_image(tmp_path / "c.tif", "all"), planes.transpose(1, 2, 0))


def test_more_channels_than_colour_need_all(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.zeros((4, 5, 7), np.uint8))
    assert read_image(tmp_path / "m.npy", "all").shape == (4, 5, 7)
    with pytest.raises(InputError, match=r"m\.npy: has 7 channels"):
        read_image(tmp_path / "m.npy", "grey")


def _cut(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: round(len(data) * share)]


DAMAGES = {
    "zero bytes": lambda data: b"",
    "a start": _cut(0.1),
    "a half": _cut(0.5),
    "nearly all": _cut(0.95),
    "a web page": lambda data: b"<html>not found</html>",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["png", "jpg", "npy", "plain.tif", "zlib.tif", "tiled.tif"])
def test_a_damaged_file_is_named(tmp_path: Path, kind: str, damage: str) -> None:
    path = tmp_path / f"damaged.{kind}"
    pixels = RNG.integers(0, 256, (400, 300), np.uint8)
    if kind == "zlib.tif":
        tifffile.imwrite(path, pixels, compression="zlib")
    elif kind == "tiled.tif":
        tifffile.imwrite(path, pixels, tile=(64, 64), compression="lzw")
    else:
        _write(path, pixels)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(InputError, match=r"damaged\."):
        read_image(path, "grey")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png: cannot be opened"):
        read_image(tmp_path / "gone.png", "grey")

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from tessera.data.readers.build import open_image
from tessera.errors import InputError

RNG = np.random.default_rng(0)
CASES = [(np.uint8, 1), (np.uint8, 3), (np.uint8, 4), (np.uint16, 1), (np.uint16, 3)]


def _pixels(dtype: type, count: int) -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max, (64, 50, count)).astype(dtype)


@pytest.mark.parametrize(("dtype", "count"), CASES)
@pytest.mark.parametrize("suffix", ["png", "jp2"])
def test_lossless_pictures_are_their_pixels(tmp_path: Path, suffix: str, dtype: type, count: int) -> None:
    pixels = _pixels(dtype, count)
    data = imagecodecs.png_encode(pixels) if suffix == "png" else imagecodecs.jpeg2k_encode(pixels.squeeze(), level=0, reversible=True, codecformat="jp2")  # fmt: skip
    (tmp_path / f"i.{suffix}").write_bytes(data)
    with open_image(tmp_path / f"i.{suffix}") as reader:
        assert (reader.shape, reader.dtype) == ((1, *pixels.shape), dtype)
        np.testing.assert_array_equal(reader.whole(0), pixels)


def _png(path: Path, indices: np.ndarray, palette: np.ndarray) -> None:
    """A PNG of palette indices (H, W) uint8; palette (N, 3)."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", indices.shape[1], indices.shape[0], 8, 3, 0, 0, 0)),
        (b"PLTE", palette.tobytes()),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in indices))),
        (b"IEND", b""),
    ]
    body = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(body))


def test_a_palette_becomes_rgb(tmp_path: Path) -> None:
    indices, palette = RNG.integers(0, 7, (30, 20)).astype(np.uint8), RNG.integers(0, 256, (7, 3)).astype(np.uint8)
    _png(tmp_path / "p.png", indices, palette)
    with open_image(tmp_path / "p.png") as reader:
        np.testing.assert_array_equal(reader.whole(0), palette[indices])


@pytest.mark.parametrize("colorspace", ["CMYK", "YCCK"])
def test_a_cmyk_jpeg_is_refused(tmp_path: Path, colorspace: str) -> None:
    data = imagecodecs.jpeg8_encode(_pixels(np.uint8, 4), colorspace="CMYK", outcolorspace=colorspace)
    (tmp_path / "c.jpg").write_bytes(data)
    with pytest.raises(InputError, match=r"c\.jpg: has CMYK.*convert it to RGB"):
        open_image(tmp_path / "c.jpg", "rgb")


@pytest.mark.parametrize("enumerated", [12, 18], ids=["CMYK", "YCC"])
def test_strange_colours_of_a_jpeg_2000_are_refused(tmp_path: Path, enumerated: int) -> None:
    data = imagecodecs.jpeg2k_encode(_pixels(np.uint8, 3), level=0, codecformat="jp2")
    place = data.find(b"colr") + 7
    (tmp_path / "c.jp2").write_bytes(data[:place] + struct.pack(">I", enumerated) + data[place + 4 :])
    with pytest.raises(InputError, match=r"c\.jp2: has CMYK, YCC or device colours"):
        open_image(tmp_path / "c.jp2", "rgb")


def test_a_truncated_jpeg_2000_is_named(tmp_path: Path) -> None:
    data = imagecodecs.jpeg2k_encode(_pixels(np.uint8, 3), level=0)
    (tmp_path / "t.jp2").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"t\.jp2: is truncated or no valid jp2"):
        open_image(tmp_path / "t.jp2")


def test_levels_and_other_kinds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "i.png").write_bytes(imagecodecs.png_encode(_pixels(np.uint8, 1)))
    (tmp_path / "i.xyz").write_bytes(b"1")
    with pytest.raises(InputError, match=r"i\.png: has one level; data\.level 1"):
        open_image(tmp_path / "i.png", level=1)
    with pytest.raises(InputError, match=r"i\.xyz: files of this kind are not read; there are \.tif, "):
        open_image(tmp_path / "i.xyz")

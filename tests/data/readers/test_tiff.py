import os
import struct
from collections import Counter
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from tessera.data.readers import base, tiff
from tessera.data.readers.build import open_image
from tessera.errors import InputError

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 150, 170  # not whole tiles, not whole strips
LAYOUTS = {
    "strips": {"rowsperstrip": 7},
    "one strip": {"rowsperstrip": HEIGHT},
    "tiles": {"tile": (32, 48)},
}
STORED = [
    *((dtype, 1, codec) for dtype in ("u1", ">u2", "f4") for codec in (None, "zlib", "lzw", "zstd", "packbits")),
    *((dtype, 2, codec) for dtype in ("u1", "u2") for codec in ("zlib", "lzw", "zstd")),
    *(("f4", 3, codec) for codec in ("zlib", "zstd")),
]


def _smooth(*shape: int, dtype: str = "u1") -> np.ndarray:
    """Random pixels that compress: values repeat."""
    values = RNG.integers(0, 40, shape)
    return (values * 5).astype(dtype) if dtype == "u1" else (values * 1000 + 7).astype(dtype)


def _read(path: Path, **options: object) -> np.ndarray:
    """(Z, H, W, C), by bands that follow each other."""
    with open_image(path, **options) as reader:
        slices = []
        for z in range(reader.shape[0]):
            end, bands = 0, []
            for y, rows in reader.bands(z):
                assert (y, rows.dtype, rows.shape[1:]) == (end, reader.dtype, reader.shape[2:])
                assert rows.dtype.isnative
                end += len(rows)
                bands.append(rows)
            slices.append(np.concatenate(bands))
        assert np.stack(slices).shape == reader.shape
        return np.stack(slices)


@pytest.fixture(params=[2**22, 3000], ids=["large bands", "small bands"], autouse=True)
def _band_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small image is one large band, or many small ones."""
    for module in (base, tiff):
        monkeypatch.setattr(module, "BAND_BYTES", request.param)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize(("dtype", "predictor", "compression"), STORED)
def test_every_layout_codec_and_type(
    tmp_path: Path, layout: str, planar: str, dtype: str, predictor: int, compression: str | None
) -> None:
    colour = _smooth(HEIGHT, WIDTH, 3, dtype=dtype)
    stored = colour.transpose(2, 0, 1) if planar == "separate" else colour
    tifffile.imwrite(
        tmp_path / "i.tif", stored, photometric="rgb", planarconfig=planar, compression=compression,
        predictor=predictor if compression else None, bigtiff=layout == "tiles", byteorder=">" if dtype == ">u2" else "<",
        **LAYOUTS[layout],
    )  # fmt: skip
    np.testing.assert_array_equal(_read(tmp_path / "i.tif")[0], colour)


@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
@pytest.mark.parametrize("threads", [1, 3])
def test_jpeg_tiles_share_their_tables_and_come_back_as_rgb(tmp_path: Path, photometric: str, threads: int) -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack([y, x, 255 - y], 2).astype(np.uint8)[..., : 1 if photometric == "minisblack" else 3]
    tifffile.imwrite(
        tmp_path / "i.tif", pixels.squeeze(), photometric=photometric, compression="jpeg", tile=(32, 48),
        compressionargs={"level": 95},
    )  # fmt: skip
    found = _read(tmp_path / "i.tif", threads=threads)[0]
    assert np.abs(found.astype(int) - pixels).mean() < 3
    np.testing.assert_array_equal(found.squeeze(), tifffile.imread(tmp_path / "i.tif"))


AXES = {  # what the writer is given → (Z, H, W, C) by the axes' names
    "ome TZCYX": ({"ome": True}, "TZCYX", (1, 4, 2, 40, 50)),
    "ome CZYX": ({"ome": True}, "CZYX", (2, 4, 40, 50)),
    "ome ZYXS": ({"ome": True, "photometric": "rgb"}, "ZYXS", (4, 40, 50, 3)),
    "ome CYX": ({"ome": True}, "CYX", (5, 40, 50)),
    "imagej TZCYX": ({"imagej": True}, "TZCYX", (1, 4, 2, 40, 50)),
    "imagej CYX": ({"imagej": True}, "CYX", (3, 40, 50)),
    "imagej ZYX": ({"imagej": True}, "ZYX", (4, 40, 50)),
    "pages": ({"metadata": None, "photometric": "minisblack"}, "ZYX", (6, 40, 50)),
    "rgb pages": ({"photometric": "rgb"}, "ZYXS", (6, 40, 50, 3)),
    "planar pages": ({"photometric": "rgb", "planarconfig": "separate"}, "ZSYX", (6, 3, 40, 50)),
    "time": ({"ome": True}, "TYX", (6, 40, 50)),
}


@pytest.mark.parametrize("name", AXES)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_axes_come_from_the_tags(tmp_path: Path, name: str, compression: str | None) -> None:
    options, axes, shape = AXES[name]
    pixels = _smooth(*shape, dtype="u1")
    if "metadata" not in options:
        options = options | {"metadata": {"axes": axes}}
    tifffile.imwrite(tmp_path / "i.tif", pixels, compression=compression, **options)
    named = axes.replace("T", "Z", "Z" not in axes).replace("S", "C").replace("T", "")
    pixels = pixels.reshape([size for axis, size in zip(axes, shape, strict=True) if axis != "T" or "Z" not in axes])
    missing = [axis for axis in "ZC" if axis not in named]
    expected = pixels.reshape(pixels.shape + (1,) * len(missing))
    named += "".join(missing)
    np.testing.assert_array_equal(_read(tmp_path / "i.tif"), expected.transpose([named.index(a) for a in "ZYXC"]))


def test_time_and_depth_at_once_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "i.tif", _smooth(2, 3, 40, 50), imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(InputError, match=r"i\.tif: holds axes TZYX of shape \(2, 3, 40, 50\).*split it"):
        open_image(tmp_path / "i.tif")


def test_blocks_of_several_slices_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "i.tif", _smooth(32, 64, 64), volumetric=True, tile=(16, 16, 16), photometric="minisblack"
    )
    with pytest.raises(InputError, match=r"i\.tif: its tiles are blocks of several slices"):
        open_image(tmp_path / "i.tif")


@pytest.mark.parametrize("subifds", [True, False])
def test_the_level_of_a_pyramid_is_chosen(tmp_path: Path, subifds: bool) -> None:
    levels = [_smooth(160, 128, 3), _smooth(80, 64, 3), _smooth(40, 32, 3)]
    with tifffile.TiffWriter(tmp_path / "p.tif", ome=subifds) as writer:
        for number, pixels in enumerate(levels):
            sub = {"subifds": 2} if subifds and not number else {"subfiletype": int(number > 0)}
            writer.write(pixels, photometric="rgb", tile=(32, 32), compression="zlib", metadata={"axes": "YXS"} if subifds else None, **sub)  # fmt: skip
    for number, pixels in enumerate(levels):
        np.testing.assert_array_equal(_read(tmp_path / "p.tif", level=number)[0], pixels)
    with pytest.raises(InputError, match=r"p\.tif: has 3 level\(s\), data\.level 3 is none of 0…2"):
        open_image(tmp_path / "p.tif", level=3)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_missing_tiles_are_zeros(tmp_path: Path, compression: str | None) -> None:
    pixels = _smooth(96, 96) + 1
    tifffile.imwrite(tmp_path / "i.tif", pixels, tile=(32, 32), compression=compression)
    pixels[32:64, 32:64] = 0
    with tifffile.TiffFile(tmp_path / "i.tif", mode="r+b") as file:
        for tag in ("TileOffsets", "TileByteCounts"):
            values = list(file.pages[0].tags[tag].value)
            file.pages[0].tags[tag].overwrite([*values[:4], 0, *values[5:]])
    np.testing.assert_array_equal(_read(tmp_path / "i.tif")[0, ..., 0], pixels)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH, 3), (3, HEIGHT, WIDTH), (4, HEIGHT, WIDTH)])
def test_each_segment_is_decoded_exactly_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, shape: tuple[int, ...]
) -> None:
    separate = {3: "separate", 4: None}.get(shape[0])
    colour = "rgb" if 3 in shape else "minisblack"
    tifffile.imwrite(tmp_path / "i.tif", _smooth(*shape), photometric=colour, planarconfig=separate, compression="zlib", **LAYOUTS[layout])  # fmt: skip
    decoded = Counter()
    decode = imagecodecs.zlib_decode

    def counting(data: bytes, *args: object, **options: object) -> bytes:
        decoded[data] += 1
        return decode(data, *args, **options)

    with tifffile.TiffFile(tmp_path / "i.tif") as whole:
        segments = sum(len(page.dataoffsets) for page in whole.pages)
    for codec in (8, 32946, 50013):
        monkeypatch.setitem(tifffile.TIFF.DECOMPRESSORS._codecs, codec, counting)
    _read(tmp_path / "i.tif")
    assert sum(decoded.values()) == segments
    assert set(decoded.values()) == {1}


def test_raw_strips_are_mapped_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = _smooth(HEIGHT, WIDTH, 3)
    tifffile.imwrite(tmp_path / "i.tif", pixels, photometric="rgb", rowsperstrip=8)
    monkeypatch.setattr(tiff.os, "pread", None)
    with open_image(tmp_path / "i.tif") as reader:
        (_, rows), *_ = reader.bands(0)
    base = rows
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)


@pytest.mark.parametrize("bits", [1, 4, 12])
def test_packed_numbers_are_unpacked(tmp_path: Path, bits: int) -> None:
    pixels = RNG.integers(0, 2**bits, (40, 48)).astype("u2" if bits > 8 else "u1" if bits > 1 else bool)
    packed = imagecodecs.packints_encode(pixels.astype("u2" if bits > 8 else "u1"), bits) if bits > 1 else None
    if bits > 1:
        _write_packed(tmp_path / "i.tif", packed, (40, 48), bits)
    else:
        tifffile.imwrite(tmp_path / "i.tif", pixels)
    np.testing.assert_array_equal(_read(tmp_path / "i.tif")[0, ..., 0], pixels)


def _write_packed(path: Path, packed: bytes, shape: tuple[int, int], bits: int) -> None:
    """One strip of packed grey numbers."""
    tags = [(256, 4, shape[1]), (257, 4, shape[0]), (258, 3, bits), (259, 3, 1), (262, 3, 1), (273, 4, 200), (277, 3, 1), (278, 4, shape[0]), (279, 4, len(packed))]  # fmt: skip
    header = b"II*\0" + struct.pack("<IH", 8, len(tags))
    header += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags) + bytes(4)
    path.write_bytes(header.ljust(200, b"\0") + packed)


def test_a_palette_becomes_rgb_and_white_is_turned(tmp_path: Path) -> None:
    indices = RNG.integers(0, 256, (40, 50)).astype(np.uint8)
    palette = RNG.integers(0, 256, (3, 256)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "p.tif", indices, photometric="palette", colormap=palette.astype("u2") * 257)
    np.testing.assert_array_equal(_read(tmp_path / "p.tif", channels="rgb")[0], palette.T[indices])
    for dtype, top in (("u1", 255), ("u2", 65535)):
        tifffile.imwrite(tmp_path / "w.tif", indices.astype(dtype), photometric="miniswhite")
        np.testing.assert_array_equal(_read(tmp_path / "w.tif")[0, ..., 0], top - indices.astype(dtype))


@pytest.mark.parametrize(("colours", "samples"), [("separated", 4), ("cielab", 3), ("ycbcr", 3)])
def test_other_colours_are_refused_with_the_way_out(tmp_path: Path, colours: str, samples: int) -> None:
    tifffile.imwrite(tmp_path / "c.tif", _smooth(40, 50, samples), photometric=colours, planarconfig="contig")
    with pytest.raises(InputError, match=rf"c\.tif: has {colours.upper()} colours .*convert it to RGB"):
        open_image(tmp_path / "c.tif", "rgb")


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "c.tif", _smooth(40, 50).astype("c8"))
    with pytest.raises(InputError, match=r"c\.tif: holds complex64 values"):
        open_image(tmp_path / "c.tif")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_damaged_segment_is_named(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "d.tif"
    tifffile.imwrite(path, _smooth(HEIGHT, WIDTH), compression="zlib", **LAYOUTS[layout])
    with tifffile.TiffFile(path) as whole:
        place = whole.pages[0].dataoffsets[-1]
    data = bytearray(path.read_bytes())
    data[place : place + 20] = bytes(20)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"d\.tif: is truncated or no valid TIFF"):
        _read(path)


@pytest.mark.skipif("TESSERA_REAL_DATA" not in os.environ, reason="TESSERA_REAL_DATA is not set")
@pytest.mark.parametrize(("name", "level"), [("painting_15500x13240", 2), ("elevation_4096x8192", 0)])
def test_real_files_are_as_tifffile_reads_them_whole(name: str, level: int) -> None:
    path = Path(os.environ["TESSERA_REAL_DATA"]) / f"bigtiff/images/{name}.tif"
    found = _read(path, level=level)[0].squeeze()
    np.testing.assert_array_equal(found, tifffile.imread(path, level=level))


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("shape", [(40, 33, 1), (5, 40, 33, 1), (40, 1, 1)])
def test_a_last_axis_of_1_is_no_depth(tmp_path: Path, shape: tuple[int, ...], compression: str | None) -> None:
    pixels = _smooth(*shape)
    tifffile.imwrite(tmp_path / "i.tif", pixels, photometric="minisblack", compression=compression)
    np.testing.assert_array_equal(_read(tmp_path / "i.tif"), pixels.reshape(-1, *shape[-3:]))


PAGES = {
    "pages": {"compression": "zlib", "metadata": None},
    "ImageJ": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "OME": {"ome": True, "metadata": {"axes": "ZYX"}},
}


@pytest.mark.parametrize("kind", PAGES)
def test_a_volume_that_lost_its_last_pages_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "i.tif"
    tifffile.imwrite(path, RNG.integers(0, 256, (6, 50, 40)).astype(np.uint8), photometric="minisblack", **PAGES[kind])
    assert len(_read(path)) == 6
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(InputError, match=r"i\.tif: is truncated \(page \d should begin at byte \d+\)"):
        open_image(path)


def test_a_file_that_ends_within_its_last_header_is_named(tmp_path: Path) -> None:
    path = tmp_path / "i.tif"
    with tifffile.TiffWriter(path) as file:  # contiguous pages: their headers stand at the end
        for _ in range(3):
            file.write(_smooth(50, 40), metadata=None, contiguous=True)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"i\.tif: is truncated"):
        open_image(path)


def test_a_page_of_another_size_is_not_left_out(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "i.tif") as file:
        for width in (40, 40, 38):
            file.write(_smooth(50, width), metadata=None)
    with pytest.raises(InputError, match=r"i\.tif: holds 2 slices .*\(50, 40\), and pages of shape \(50, 38\)"):
        open_image(tmp_path / "i.tif")

"""Reads one image file into (H, W, C)."""

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tifffile

from tessera.errors import InputError

Channels = Literal["grey", "rgb", "all"]
_END_MARKERS = {".png": b"IEND", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}


def read_image(path: Path, channels: Channels) -> np.ndarray:
    """The pixels of a file as (H, W, C), in the file's own dtype.

    grey: C = 1, colour becomes luma. rgb: C = 3, grey is repeated. Both drop alpha. all: as the file is.
    Raises InputError naming the file: unreadable, truncated, not one 2-D image, or not convertible.
    """
    return _convert(_read(path), channels, path)


def read_mask(path: Path) -> np.ndarray:
    """The pixels of a mask file as (H, W), in the file's own dtype. Raises InputError as `read_image` does."""
    pixels = _read(path)
    if pixels.shape[2] > 1 and (pixels[..., :3] != pixels[..., :1]).any():
        raise InputError(f"{path}: a mask must be grey, this one has colours; data.mask_kind: colour or instances")
    return pixels[..., 0]


def _read(path: Path) -> np.ndarray:
    suffix = path.suffix.lower()
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty (0 bytes)")
        if suffix in (".tif", ".tiff"):
            return _read_tiff(path)
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from None
    if suffix in _END_MARKERS and _END_MARKERS[suffix] not in data[-1024:]:
        raise InputError(f"{path}: is truncated ({len(data)} bytes, no end marker)")
    pixels = _load_npy(path) if suffix == ".npy" else _decode(data)
    if pixels is None or pixels.ndim not in (2, 3):
        raise InputError(f"{path}: cannot be decoded as one image")
    return np.atleast_3d(pixels)


def _load_npy(path: Path) -> np.ndarray | None:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError):
        return None


def _decode(data: bytes) -> np.ndarray | None:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is not None and pixels.ndim == 3:  # OpenCV's own order is BGR(A)
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return pixels


def _read_tiff(path: Path) -> np.ndarray:
    try:
        with tifffile.TiffFile(path) as tiff:
            series = tiff.series[0]
            pixels, axes = series.asarray(), series.axes
    except Exception as error:  # tifffile and its codecs raise many kinds; each means the file is broken
        raise InputError(f"{path}: is truncated or no valid TIFF ({type(error).__name__}: {error})") from None
    if axes in ("CYX", "SYX"):
        pixels = np.moveaxis(pixels, 0, -1)
    elif axes not in ("YX", "YXS", "YXC"):
        raise InputError(f"{path}: holds axes {axes} of shape {pixels.shape}; give a volume as a file a slice")
    return np.atleast_3d(pixels)


def _convert(pixels: np.ndarray, channels: Channels, path: Path) -> np.ndarray:
    if channels == "all":
        return pixels
    if pixels.shape[2] not in (1, 2, 3, 4):
        raise InputError(f"{path}: has {pixels.shape[2]} channels; data.channels {channels} needs 1 to 4 (or: all)")
    pixels = pixels[..., : 3 if pixels.shape[2] >= 3 else 1]  # without alpha
    if channels == "rgb":
        return np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    if pixels.shape[2] == 3:
        luma = pixels @ np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as OpenCV
        pixels = (np.rint(luma) if pixels.dtype.kind == "u" else luma).astype(pixels.dtype)[..., None]
    return pixels

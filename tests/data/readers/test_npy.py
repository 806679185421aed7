from pathlib import Path

import numpy as np
import pytest

from tessera.data.readers import npy
from tessera.data.readers.build import open_image
from tessera.errors import InputError

RNG = np.random.default_rng(0)
SHAPES = {  # of the file → (Z, H, W, C)
    (40, 50): (1, 40, 50, 1), (40, 50, 3): (1, 40, 50, 3), (40, 50, 16): (1, 40, 50, 16),
    (6, 40, 50): (6, 40, 50, 1), (6, 40, 50, 3): (6, 40, 50, 3), (1, 40, 17, 20): (1, 40, 17, 20),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", ">u2", "f4", "f8", "?"])
def test_arrays_are_read_by_bands_of_their_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], order: str, dtype: str
) -> None:
    monkeypatch.setattr(npy, "BAND_BYTES", 2000)
    pixels = np.asarray(RNG.integers(0, 200, shape), dtype, order)
    np.save(tmp_path / "a.npy", pixels)
    with open_image(tmp_path / "a.npy") as reader:
        assert reader.shape == SHAPES[shape]
        assert reader.dtype == (np.uint8 if dtype == "?" else np.dtype(dtype).newbyteorder("="))
        found = np.stack([reader.whole(z) for z in range(reader.shape[0])])
    np.testing.assert_array_equal(found, pixels.reshape(SHAPES[shape]))


@pytest.mark.parametrize(
    ("pixels", "said"),
    [(np.zeros(5), "has shape"), (np.zeros((0, 4)), "has shape"), (np.zeros((4, 4), "c8"), "complex64"), (np.array([["a"]]), "<U1")],
)  # fmt: skip
def test_what_is_no_image_is_named(tmp_path: Path, pixels: np.ndarray, said: str) -> None:
    np.save(tmp_path / "a.npy", pixels)
    with pytest.raises(InputError, match=rf"a\.npy: .*{said}"):
        open_image(tmp_path / "a.npy")


def test_a_truncated_array_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((400, 500)))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:9000])
    with pytest.raises(InputError, match=r"a\.npy: is truncated or no valid npy"):
        open_image(tmp_path / "a.npy")

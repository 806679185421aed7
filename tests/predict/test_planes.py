import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from predictions import maps_of, predictor_of
from tessera.data.boxes import BOX
from tessera.data.pixels import AXES, PixelStore
from tessera.errors import InputError
from tessera.params.model import Model
from tessera.params.predict import Predict
from tessera.predict.predictor import Predictor
from tessera.predict.write import write_predictions
from tessera.tasks import Binary

ALL = ["xy", "xz", "yz"]
SIZE = (40, 70, 50)


class Middle(nn.Module):
    """The middle slice of a stack, as logits of ± 3."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        middle = windows.shape[1] // 2
        return windows[:, middle : middle + 1].float() / 42 - 3


class Brightest(nn.Module):
    """Each stack's brightest slice: what is seen depends on the plane."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return windows.float().amax(1, keepdim=True) / 42 - 3


@pytest.fixture
def store(pixel_store: Callable[..., PixelStore]) -> PixelStore:
    return pixel_store({"v": np.random.default_rng(0).integers(0, 256, (*SIZE, 1), np.uint8)})


def _write(path: Path, store: PixelStore, network: nn.Module, model: Model, *box: int) -> np.ndarray:
    predict = Predict(window=32, overlap=0.25, views=["identity", "flip_h"])
    predictor = Predictor([network], model, predict, Binary(["a"]), torch.device("cpu"), nullcontext)
    items = pd.DataFrame([("i", "v", *(box or (0, SIZE[0], 0, SIZE[1], 0, SIZE[2])))], columns=["item", *BOX])
    write_predictions(path, predictor, store, items.assign(height=SIZE[1], width=SIZE[2]), {}, path.parent / path.stem)
    assert [file.name for file in path.parent.glob("*.h5*")] == ["p.h5", "tiles.h5"] or path.name != "p.h5"
    with h5py.File(path) as file:
        return np.stack([file["i"][view][0] for view in predict.views]).astype(int)


def _expected(volume: np.ndarray) -> np.ndarray:
    return 255 / (1 + np.exp(3 - volume / 42))


@pytest.mark.parametrize("planes", [ALL[:1], ALL[:2], ALL])
@pytest.mark.parametrize("slices", [1, 3])
def test_the_middle_slice_is_the_same_through_every_plane(
    store: PixelStore, model: Callable[..., Model], tmp_path: Path, planes: list[str], slices: int
) -> None:
    found = _write(tmp_path / "p.h5", store, Middle(), model(slices=slices, planes=planes))
    expected = _expected(store.file["v"]["pixels"][..., 0])
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("plane", ALL)
def test_the_side_of_a_size_is_the_images_in_every_plane(
    store: PixelStore, model: Callable[..., Model], plane: str
) -> None:
    """At its own longer side an image is seen at the working scale, though a plane's longer side is another one."""
    whole = predictor_of(Middle(), model(planes=ALL), sizes=[{"side": max(SIZE[1:]), "weight": 1}])
    found, expected = (
        maps_of(predictor, store.in_plane(plane), "v")
        for predictor in (whole, predictor_of(Middle(), model(planes=ALL)))
    )
    np.testing.assert_array_equal(found["identity"], expected["identity"])


def test_planes_are_averaged(store: PixelStore, model: Callable[..., Model], tmp_path: Path) -> None:
    found = _write(tmp_path / "p.h5", store, Brightest(), model(slices=3, planes=ALL))
    volume = store.file["v"]["pixels"][..., 0]
    seen = []
    for plane in ALL:
        axis = AXES[plane][0]
        padded = np.pad(volume, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        sides = [np.take(padded, np.arange(n, n + volume.shape[axis]), axis) for n in range(3)]
        seen.append(_expected(np.max(sides, 0)))
    assert np.abs(found - np.mean(seen, 0)).max() <= 1.5


def test_a_part_is_predicted_as_the_whole_is(store: PixelStore, model: Callable[..., Model], tmp_path: Path) -> None:
    """Slices, rows and columns around it are read, also those of the other planes."""
    entry = model(slices=3, planes=ALL)
    whole = _write(tmp_path / "p.h5", store, Brightest(), entry)
    part = _write(tmp_path / "part.h5", store, Brightest(), entry, 33, 39, 5, 60, 30, 50)
    assert np.abs(part[:, :, :55, :20] - whole[:, 33:39, 5:60, 30:50]).max() <= 1


def test_the_same_bytes_again(store: PixelStore, model: Callable[..., Model], tmp_path: Path) -> None:
    for name in ("p.h5", "q.h5"):
        _write(tmp_path / name, store, Brightest(), model(slices=3, planes=ALL))
    assert (tmp_path / "p.h5").read_bytes() == (tmp_path / "q.h5").read_bytes()


def test_room_for_the_sums_is_looked_for_first(
    store: PixelStore, model: Callable[..., Model], tmp_path: Path, free: Callable[[int], None]
) -> None:
    """uint16, of two views."""
    free(4 * math.prod(SIZE) - 1)
    with pytest.raises(InputError, match=r"\.sums cannot be saved .the disk is nearly full"):
        _write(tmp_path / "p.h5", store, Middle(), model(planes=ALL))

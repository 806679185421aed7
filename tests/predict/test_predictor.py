from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tessera.data.boxes import BOX
from tessera.data.pixels import PixelStore
from tessera.data.stacks import Stack
from tessera.params.model import Model
from tessera.params.predict import Predict
from tessera.predict.predictor import Predictor
from tessera.predict.write import write_predictions
from tessera.tasks import Binary, build_task

VIEWS = ("identity", "flip_h", "flip_v", "rot180")
SIZES = {"small": (1, 20, 33), "exact": (2, 64, 32), "odd": (3, 71, 50)}


class Pointwise(nn.Module):
    """Equivariant under every view: each pixel alone decides; all classes but the first are offset."""

    def __init__(self, channels: int, classes: int = 1, bias: float = 0.0):
        super().__init__()
        torch.manual_seed(channels)
        self.mix = nn.Conv2d(channels, classes, 1)
        nn.init.constant_(self.mix.bias, bias)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.mix(windows.float() / 64 - 2)


class Scaled(nn.Module):
    """uint8 → about ± 1."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return windows.float() / 128 - 1


class Handed(nn.Module):
    """Says left or right by which way round its two channels rise: equivariant, left and right changing places in a
    mirror image."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        one, two = (
            [values.roll(-1, axis) - values.roll(1, axis) for axis in (1, 2)] for values in windows.float().unbind(1)
        )
        turn = (one[0] * two[1] - one[1] * two[0]) / 5000
        return torch.stack([turn, -turn], 1)


@pytest.fixture
def store(pixel_store: Callable[..., PixelStore]) -> PixelStore:
    rng = np.random.default_rng(0)
    return pixel_store({name: rng.integers(0, 256, (*size, 2), np.uint8) for name, size in SIZES.items()})


def _predictor(networks: list[nn.Module], model: Model, task: Binary | None = None, **changes: object) -> Predictor:
    predict = Predict(**{"window": 32, "overlap": 0.25, "views": list(VIEWS)} | changes)
    return Predictor(networks, model, predict, task or Binary(["a"]), torch.device("cpu"), nullcontext)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("slices", [1, 3])
def test_an_equivariant_network_gives_the_same_map_under_every_view(
    store: PixelStore, model: Callable[..., Model], name: str, slices: int
) -> None:
    network = Pointwise(2 * slices)
    depth, height, width = SIZES[name]
    for z, maps in enumerate(_predictor([network], model(slices=slices)).slices(store, name, 0, depth)):
        stack = store.read_stack(name, Stack(slices).around(z, depth), (0, 0, height, width)).transpose(2, 0, 1)
        direct = network(torch.from_numpy(stack)[None]).sigmoid()[0].detach().numpy() * 255
        assert list(maps) == list(VIEWS)
        for values in maps.values():
            assert values.dtype == np.uint8
            assert values.shape == (1, height, width)
            np.testing.assert_allclose(values, direct, atol=1)


def test_the_networks_are_averaged(store: PixelStore, model: Callable[..., Model]) -> None:
    networks = [Pointwise(2, bias=bias) for bias in (-1.0, 2.0)]
    one, two, both = (
        next(_predictor(chosen, model()).slices(store, "odd", 0, 1))["identity"].astype(float)
        for chosen in (networks[:1], networks[1:], networks)
    )
    np.testing.assert_allclose(both, (one + two) / 2, atol=1.01)


def test_paired_channels_swap_in_mirror_images(store: PixelStore, model: Callable[..., Model]) -> None:
    task = build_task("multilabel", ["left", "right"], [["left", "right"]])
    maps = next(_predictor([Pointwise(2, classes=2)], model(), task).slices(store, "odd", 0, 1))
    for view, swaps in (("flip_h", True), ("flip_v", True), ("rot180", False)):
        expected = maps["identity"][::-1] if swaps else maps["identity"]
        np.testing.assert_allclose(maps[view].astype(int), expected, atol=1)


@pytest.mark.parametrize("name", SIZES)
def test_an_equivariant_network_of_pairs_gives_the_same_map_under_every_view(
    store: PixelStore, model: Callable[..., Model], name: str
) -> None:
    task = build_task("multilabel", ["left", "right"], [["left", "right"]])
    maps = next(_predictor([Handed()], model(), task).slices(store, name, 0, 1))
    assert np.abs(maps["identity"][0].astype(int) - maps["identity"][1]).mean() > 20
    for view in VIEWS:
        np.testing.assert_allclose(maps[view].astype(int), maps["identity"], atol=1)


def test_a_slice_is_the_same_whatever_range_it_is_asked_in(store: PixelStore, model: Callable[..., Model]) -> None:
    predictor = _predictor([Pointwise(6)], model(slices=3))
    whole = list(predictor.slices(store, "odd", 0, 3))
    np.testing.assert_array_equal(next(predictor.slices(store, "odd", 2, 3))["identity"], whole[2]["identity"])


def test_slices_outside_the_depths_are_empty_and_not_read(store: PixelStore, model: Callable[..., Model]) -> None:
    network = Pointwise(6)
    found = list(_predictor([network], model(slices=3, depths=[1, 9])).slices(store, "odd", 0, 3, (3, 4, 20, 30)))
    assert all((maps == 0).all() and maps.shape == (1, 20, 30) for maps in found[0].values())
    stack = store.read_stack("odd", [1, 1, 2], (3, 4, 20, 30)).transpose(2, 0, 1)  # slice 0 is not read beside 1
    direct = network(torch.from_numpy(stack)[None]).sigmoid()[0].detach().numpy() * 255
    np.testing.assert_allclose(found[1]["identity"], direct, atol=1)


def test_one_label_is_the_mean_over_the_centres(store: PixelStore, model: Callable[..., Model]) -> None:
    network = Pointwise(6)
    alone = [next(_predictor([network], model(slices=3)).slices(store, "odd", z, z + 1)) for z in (0, 2)]
    store.file.close()
    with h5py.File(store.path, "r+") as file:
        file["odd"].attrs["label_depth"] = 1
    both = _predictor([network], model(slices=3, centres=[0, 2]))
    (maps,) = both.slices(PixelStore(store.path), "odd", 0, 1)
    for view in VIEWS:
        mean = (alone[0][view].astype(float) + alone[1][view]) / 2
        np.testing.assert_allclose(maps[view], mean, atol=1.01)


@pytest.mark.parametrize("zoom", [0.5, 2.0, 3.0])
def test_a_zoomed_model_predicts_in_working_px(
    pixel_store: Callable[..., PixelStore], model: Callable[..., Model], zoom: float
) -> None:
    """A smooth image is seen almost the same at every zoom, whole or as a crop."""
    y, x = np.mgrid[:70, :90]
    store = pixel_store({"a": np.stack([y * 2 + 20, x * 2 + 40], 2)[None].astype(np.uint8)})
    network = Pointwise(2)
    plain, zoomed = (next(_predictor([network], model(zoom=z)).slices(store, "a", 0, 1)) for z in (1.0, zoom))
    crop = next(_predictor([network], model(zoom=zoom)).slices(store, "a", 0, 1, (11, 22, 33, 44)))
    for view in VIEWS:
        difference = np.abs(zoomed[view].astype(int) - plain[view])
        assert difference.max() <= 4
        assert difference.mean() < 1
        assert np.abs(crop[view].astype(int) - plain[view][:, 11:44, 22:66]).max() <= 4


def test_a_crop_is_predicted_as_the_whole_is_and_reads_its_neighbours(
    store: PixelStore, model: Callable[..., Model]
) -> None:
    network = Pointwise(2)
    predictor = _predictor([network], model())
    whole = next(predictor.slices(store, "odd", 0, 1))["identity"]
    for y, x, height, width in ((0, 0, 71, 50), (10, 5, 30, 40), (60, 0, 11, 50), (70, 49, 1, 1)):
        maps = next(predictor.slices(store, "odd", 0, 1, (y, x, height, width)))
        for view in VIEWS:
            difference = maps[view].astype(int) - whole[:, y : y + height, x : x + width]
            assert np.abs(difference).max() <= 1  # windows lie elsewhere; of a pixel alone they say the same
    wide = nn.Conv2d(2, 1, 15, padding=7).eval()
    context = _predictor([nn.Sequential(Scaled(), wide)], model(), views=["identity"], window=64)
    there = next(context.slices(store, "odd", 0, 1, (30, 20, 8, 8)))["identity"]
    around = next(context.slices(store, "odd", 0, 1, (15, 5, 38, 38)))["identity"][:, 15:23, 15:23]
    np.testing.assert_allclose(there.astype(int), around, atol=1)


def test_predictions_written_twice_are_the_same_bytes(
    store: PixelStore, model: Callable[..., Model], tmp_path: Path
) -> None:
    items = pd.DataFrame(
        [("small", "small", 0, 1, 0, 20, 0, 33, 20, 33), ("odd@1-3", "odd", 1, 3, 0, 142, 0, 100, 142, 100)],
        columns=["item", *BOX, "height", "width"],
    )
    for name in ("one.h5", "two.h5"):
        predictor = _predictor([Pointwise(2)], model(), views=["identity", "flip_v"])
        write_predictions(tmp_path / name, predictor, store, items, {"model": "m", "fold": 3}, tmp_path / name[:3])
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    with h5py.File(tmp_path / "one.h5") as file:
        assert dict(file.attrs) == {"model": "m", "fold": 3}
        assert set(file) == {"small", "odd@1-3"}
        item = file["odd@1-3"]
        assert {key: item.attrs[key] for key in ("image_id", "z0", "height", "width", "scale")} == {
            "image_id": "odd", "z0": 1, "height": 142, "width": 100, "scale": 1.0,
        }  # fmt: skip
        for depth, maps in enumerate(predictor.slices(store, "odd", 1, 3)):
            for view in ("identity", "flip_v"):
                np.testing.assert_array_equal(item[view][:, depth], maps[view])

"""Several sizes, views of every kind, and how they become one map."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from predictions import Level, maps_of, predictor_of
from tessera.data.pixels import PixelStore
from tessera.params.model import Model
from tessera.predict import blocks
from tessera.predict.merging import merge_maps
from tessera.predict.views import TURNS
from tessera.tasks import build_task

Store = Callable[..., PixelStore]
Build = Callable[..., Model]


class Corner(nn.Module):
    """Probability .9 in the upper left quarter of each window and .1 elsewhere, whatever it shows."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        height, width = windows.shape[-2:]
        levels = torch.full((len(windows), 1, height, width), 0.1)
        levels[..., : height // 2, : width // 2] = 0.9
        return levels.logit()


class BySize(nn.Module):
    """The lesson's networks: .8 .2 .9 in thirds of windows of 96 px, .8 .2 .2 where the whole is seen at 48 px."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        patch = windows.shape[-1] == 96
        levels = torch.tensor([0.8, 0.2, 0.9 if patch else 0.2]).repeat_interleave(
            torch.tensor([32] * 3 if patch else [16, 16, 32])
        )
        return levels.logit().expand(len(windows), 1, windows.shape[-2], -1)


def _smooth(height: int, width: int, slices: int = 1) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    grey = 128 + 60 * np.sin(y / 17) + 60 * np.cos(x / 23)
    return np.stack([grey] * slices)[..., None].astype(np.uint8)


def test_patch_and_whole_image_are_fused_as_probabilities(pixel_store: Store, model: Build) -> None:
    store = pixel_store({"a": np.zeros((1, 96, 96, 1), np.uint8)})
    sizes = [{"weight": 0.5}, {"side": 48, "window": 64, "weight": 0.5}]
    found = maps_of(predictor_of(BySize(), model(), window=96, sizes=sizes), store)["identity"] / 255
    whole = maps_of(predictor_of(BySize(), model(), window=96, sizes=sizes[1:]), store)["identity"] / 255
    assert found[0, 48, [16, 48, 80]] == pytest.approx([0.8, 0.2, 0.55], abs=1 / 255)
    assert whole[0, 48, [16, 48, 80]] == pytest.approx([0.8, 0.2, 0.2], abs=1 / 255)
    uneven = predictor_of(BySize(), model(), window=96, sizes=[{"weight": 3}, sizes[1] | {"weight": 1}])
    assert maps_of(uneven, store)["identity"][0, 48, 80] / 255 == pytest.approx(0.75 * 0.9 + 0.25 * 0.2, abs=1 / 255)


@pytest.mark.parametrize("overlap", [0, 0.25, 0.75])
@pytest.mark.parametrize("weights", ["gaussian", "pyramid", "centre"])
def test_a_size_alone_is_as_without_sizes(pixel_store: Store, model: Build, overlap: float, weights: str) -> None:
    store = pixel_store({"a": np.random.default_rng(0).integers(0, 256, (1, 70, 90, 1), np.uint8)})
    ways = ({}, {"sizes": [{"weight": 2.0}]}, {"sizes": [{"weight": 1, "side": 90, "window": 32}]})
    one, *others = (
        maps_of(predictor_of(Corner(), model(), overlap=overlap, weights=weights, **way), store)["identity"]
        for way in ways
    )
    for other in others:
        np.testing.assert_array_equal(one, other)


def test_centre_leaves_out_what_windows_say_at_their_edge(pixel_store: Store, model: Build) -> None:
    class Edge(nn.Module):
        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            levels = torch.full((len(windows), 1, 32, 32), 0.9)
            levels[..., 8:24, 8:24] = 0.2
            return levels.logit()

    store = pixel_store({"a": np.zeros((1, 96, 128, 1), np.uint8)})
    found = maps_of(predictor_of(Edge(), model(), overlap=0.5, weights="centre"), store)["identity"][0]
    assert set(np.unique(found[8:-8, 8:-8])) == {51}
    border = np.ones(found.shape, bool)
    border[8:-8, 8:-8] = False
    assert (found[border] > 51).all()  # there what covers it counts


@pytest.mark.parametrize("name", ["small", "odd"])
@pytest.mark.parametrize("stacked", [1, 3])
def test_every_view_of_an_equivariant_network_says_the_same(
    pixel_store: Store, model: Build, name: str, stacked: int
) -> None:
    """Windows that are not square, too."""
    rng = np.random.default_rng(0)
    store = pixel_store(
        {"small": rng.integers(0, 256, (3, 20, 50, 1), np.uint8), "odd": rng.integers(0, 256, (3, 71, 50, 1), np.uint8)}
    )
    views = [*TURNS, "alternating"]
    maps = maps_of(predictor_of(Level(), model(slices=stacked), views=views, window=64), store, name)
    assert list(maps) == views
    for view in views:
        assert np.abs(maps[view] - maps["identity"]).max() <= 1


def test_every_view_shows_the_window_as_its_name_says(pixel_store: Store, model: Build) -> None:
    store = pixel_store({"a": np.zeros((1, 32, 32, 1), np.uint8)})
    maps = maps_of(predictor_of(Corner(), model(), views=list(TURNS)), store)
    bright = {view: tuple(np.argwhere(values[0] > 128).min(0)) for view, values in maps.items()}
    assert bright == {
        "identity": (0, 0), "flip_h": (0, 16), "flip_v": (16, 0), "rot180": (16, 16),
        "rot90": (0, 16), "rot270": (16, 0), "transpose": (0, 0), "anti_transpose": (16, 16),
    }  # fmt: skip


def test_alternating_turns_each_window_another_way(pixel_store: Store, model: Build) -> None:
    store = pixel_store({"a": np.zeros((1, 64, 64, 1), np.uint8)})
    found = maps_of(predictor_of(Corner(), model(), views=["alternating"], overlap=0), store)["alternating"][0] > 128
    expected = np.zeros((64, 64), bool)
    expected[:16, :16] = expected[:16, 48:] = expected[48:, :16] = expected[48:, 48:] = True
    np.testing.assert_array_equal(found, expected)


def test_pairs_swap_by_window_under_alternating_and_in_transposed_views(pixel_store: Store, model: Build) -> None:
    class Fixed(nn.Module):
        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            return torch.tensor([0.9, 0.1]).logit().view(1, 2, 1, 1).expand(len(windows), 2, *windows.shape[-2:])

    task = build_task("multilabel", ["left", "right"], [["left", "right"]])
    store = pixel_store({"a": np.zeros((1, 64, 64, 1), np.uint8)})
    views = [*TURNS, "alternating"]
    maps = maps_of(predictor_of(Fixed(), model(), task, views=views, overlap=0), store)
    mirrored = {view for view in TURNS if maps[view][1, 0, 0] > 128}
    assert mirrored == {"flip_h", "flip_v", "transpose", "anti_transpose"}
    assert (maps["alternating"][1, ::32, ::32] > 128).tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize("view", ["identity@0.5", "flip_h@0.8", "rot90@1.5"])
def test_a_scaled_view_says_almost_the_same_of_a_smooth_image(pixel_store: Store, model: Build, view: str) -> None:
    store = pixel_store({"a": _smooth(90, 130)})
    maps = maps_of(predictor_of(Level(), model(), views=["identity", view]), store)
    assert np.abs(maps[view] - maps["identity"]).max() <= 6
    assert np.abs(maps[view] - maps["identity"]).mean() < 1.5


@pytest.mark.parametrize("zoom", [1.0, 0.7, 2.0])
def test_blocks_are_the_whole(pixel_store: Store, model: Build, monkeypatch: pytest.MonkeyPatch, zoom: float) -> None:
    """However low the blocks are, and whatever band the pixels are resampled in."""
    store = pixel_store({"a": np.random.default_rng(0).integers(0, 256, (1, 150, 70, 1), np.uint8)})
    sizes = [{"weight": 1}, {"weight": 2, "side": 100, "window": 64}]
    predictor = predictor_of(Corner(), model(zoom=zoom), views=["identity", "rot90@0.8"], sizes=sizes)
    crops = [None, (20, 5, 77, 60)]
    whole = [maps_of(predictor, store, crop=crop) for crop in crops]
    for rows in (7, 64):
        monkeypatch.setattr(blocks, "ROWS", rows)
        for crop, expected in zip(crops, whole, strict=True):
            parts = list(predictor.blocks(store, "a", 0, crop))
            assert {part["identity"].shape[1] for part in parts[:-1]} == {rows}
            for view, values in expected.items():
                found = np.concatenate([part[view] for part in parts], 1)
                assert np.abs(found - values).max() <= 1


@pytest.mark.parametrize("merge", ["probabilities", "logits"])
@pytest.mark.parametrize("sizes", [[], [{"weight": 1}, {"weight": 3, "side": 60, "window": 64}]])
def test_merged_is_what_reading_the_views_gives(
    pixel_store: Store, model: Build, merge: str, sizes: list[dict]
) -> None:
    store = pixel_store({"a": np.random.default_rng(0).integers(0, 256, (1, 71, 50, 1), np.uint8)})
    given = {"views": ["identity", "flip_h", "rot90", "flip_v@0.8"], "merge": merge, "sizes": sizes}
    apart = maps_of(predictor_of(Corner(), model(), **given), store)
    together = maps_of(predictor_of(Corner(), model(), store="merged", **given), store)
    assert list(together) == ["merged"]
    difference = np.abs(together["merged"] - merge_maps(list(apart.values()), merge)).max()
    assert difference <= (1 if merge == "probabilities" else 2)  # logits stretch what was rounded


def test_networks_are_merged_by_probabilities_or_logits(pixel_store: Store, model: Build) -> None:
    class Says(nn.Module):
        def __init__(self, level: float):
            super().__init__()
            self.logit = torch.tensor(level).logit()

        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            return self.logit.expand(len(windows), 1, *windows.shape[-2:])

    store = pixel_store({"a": np.zeros((1, 40, 40, 1), np.uint8)})
    found = {
        merge: maps_of(predictor_of([Says(0.9), Says(0.2)], model(), merge=merge), store)["identity"][0, 20, 20] / 255
        for merge in ("probabilities", "logits")
    }
    assert found == pytest.approx({"probabilities": 0.55, "logits": 0.6}, abs=1 / 255)  # sqrt(9 · 0.25) = 1.5 = .6 / .4


def test_maps_are_merged_by_probabilities_or_logits() -> None:
    one, two = np.array([0, 255, 230, 0], np.uint8), np.array([0, 255, 51, 255], np.uint8)
    np.testing.assert_allclose(merge_maps([one, two], "probabilities"), [0, 255, 140.5, 127.5])
    np.testing.assert_allclose(merge_maps([one, two], "logits"), [0, 255, 153.7, 127.5], atol=0.1)
    np.testing.assert_array_equal(merge_maps([two], "logits"), two)

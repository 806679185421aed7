"""Several sizes, views of every kind, and how they become one map."""

import tracemalloc
from collections.abc import Callable
from contextlib import nullcontext

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from tessera.data.pixels import PixelStore
from tessera.params.model import Model
from tessera.params.predict import Predict
from tessera.predict import stitching, sweep
from tessera.predict.merging import merge_maps
from tessera.predict.predictor import Predictor
from tessera.predict.views import TURNS
from tessera.tasks import Binary, build_task

Store = Callable[..., PixelStore]
Build = Callable[..., Model]


class Level(nn.Module):
    """Grey g is the probability g / 255; of stacks, the mean over the slices."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return (windows.float().mean(1, keepdim=True) / 255).clamp(1e-4, 1 - 1e-4).logit()


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


def _predictor(network: nn.Module, model: Model, task: Binary | None = None, **changes: object) -> Predictor:
    predict = Predict(**{"window": 32, "overlap": 0.25, "views": ["identity"]} | changes)
    networks = network if isinstance(network, list) else [network]
    return Predictor(networks, model, predict, task or Binary(["a"]), torch.device("cpu"), nullcontext)


def _maps(predictor: Predictor, store: PixelStore, name: str = "a", **crop: tuple) -> dict[str, np.ndarray]:
    (maps,) = predictor.slices(store, name, 0, 1, **crop)
    return {view: values.astype(int) for view, values in maps.items()}


def _smooth(height: int, width: int, slices: int = 1) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    grey = 128 + 60 * np.sin(y / 17) + 60 * np.cos(x / 23)
    return np.stack([grey] * slices)[..., None].astype(np.uint8)


def test_patch_and_whole_image_are_fused_as_probabilities(pixel_store: Store, model: Build) -> None:
    store = pixel_store({"a": np.zeros((1, 96, 96, 1), np.uint8)})
    sizes = [{"weight": 0.5}, {"side": 48, "window": 64, "weight": 0.5}]
    found = _maps(_predictor(BySize(), model(), window=96, sizes=sizes), store)["identity"] / 255
    whole = _maps(_predictor(BySize(), model(), window=96, sizes=sizes[1:]), store)["identity"] / 255
    assert found[0, 48, [16, 48, 80]] == pytest.approx([0.8, 0.2, 0.55], abs=1 / 255)
    assert whole[0, 48, [16, 48, 80]] == pytest.approx([0.8, 0.2, 0.2], abs=1 / 255)
    uneven = _predictor(BySize(), model(), window=96, sizes=[{"weight": 3}, sizes[1] | {"weight": 1}])
    assert _maps(uneven, store)["identity"][0, 48, 80] / 255 == pytest.approx(0.75 * 0.9 + 0.25 * 0.2, abs=1 / 255)


@pytest.mark.parametrize("overlap", [0, 0.25, 0.75])
@pytest.mark.parametrize("weights", ["gaussian", "pyramid", "centre"])
def test_a_size_alone_is_as_without_sizes(pixel_store: Store, model: Build, overlap: float, weights: str) -> None:
    store = pixel_store({"a": np.random.default_rng(0).integers(0, 256, (1, 70, 90, 1), np.uint8)})
    ways = ({}, {"sizes": [{"weight": 2.0}]}, {"sizes": [{"weight": 1, "side": 90, "window": 32}]})
    one, *others = (
        _maps(_predictor(Corner(), model(), overlap=overlap, weights=weights, **way), store)["identity"] for way in ways
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
    found = _maps(_predictor(Edge(), model(), overlap=0.5, weights="centre"), store)["identity"][0]
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
    maps = _maps(_predictor(Level(), model(slices=stacked), views=views, window=64), store, name)
    assert list(maps) == views
    for view in views:
        assert np.abs(maps[view] - maps["identity"]).max() <= 1


def test_every_view_shows_the_window_as_its_name_says(pixel_store: Store, model: Build) -> None:
    store = pixel_store({"a": np.zeros((1, 32, 32, 1), np.uint8)})
    maps = _maps(_predictor(Corner(), model(), views=list(TURNS)), store)
    bright = {view: tuple(np.argwhere(values[0] > 128).min(0)) for view, values in maps.items()}
    assert bright == {
        "identity": (0, 0), "flip_h": (0, 16), "flip_v": (16, 0), "rot180": (16, 16),
        "rot90": (0, 16), "rot270": (16, 0), "transpose": (0, 0), "anti_transpose": (16, 16),
    }  # fmt: skip


def test_alternating_turns_each_window_another_way(pixel_store: Store, model: Build) -> None:
    store = pixel_store({"a": np.zeros((1, 64, 64, 1), np.uint8)})
    found = _maps(_predictor(Corner(), model(), views=["alternating"], overlap=0), store)["alternating"][0] > 128
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
    maps = _maps(_predictor(Fixed(), model(), task, views=views, overlap=0), store)
    mirrored = {view for view in TURNS if maps[view][1, 0, 0] > 128}
    assert mirrored == {"flip_h", "flip_v", "transpose", "anti_transpose"}
    assert (maps["alternating"][1, ::32, ::32] > 128).tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize("view", ["identity@0.5", "flip_h@0.8", "rot90@1.5"])
def test_a_scaled_view_says_almost_the_same_of_a_smooth_image(pixel_store: Store, model: Build, view: str) -> None:
    store = pixel_store({"a": _smooth(90, 130)})
    maps = _maps(_predictor(Level(), model(), views=["identity", view]), store)
    assert np.abs(maps[view] - maps["identity"]).max() <= 6
    assert np.abs(maps[view] - maps["identity"]).mean() < 1.5


@pytest.mark.parametrize("zoom", [1.0, 0.7, 2.0])
def test_blocks_are_the_whole(pixel_store: Store, model: Build, monkeypatch: pytest.MonkeyPatch, zoom: float) -> None:
    """However low the blocks are, and whatever band the pixels are resampled in."""
    store = pixel_store({"a": np.random.default_rng(0).integers(0, 256, (1, 150, 70, 1), np.uint8)})
    sizes = [{"weight": 1}, {"weight": 2, "side": 100, "window": 64}]
    predictor = _predictor(Corner(), model(zoom=zoom), views=["identity", "rot90@0.8"], sizes=sizes)
    crops = [None, (20, 5, 77, 60)]
    whole = [_maps(predictor, store, crop=crop) for crop in crops]
    for rows in (7, 64):
        monkeypatch.setattr(stitching, "ROWS", rows)
        monkeypatch.setattr(sweep, "ROWS", rows)
        for crop, expected in zip(crops, whole, strict=True):
            blocks = list(predictor.blocks(store, "a", 0, crop))
            assert {block["identity"].shape[1] for block in blocks[:-1]} == {rows}
            for view, values in expected.items():
                found = np.concatenate([block[view] for block in blocks], 1)
                assert np.abs(found - values).max() <= 1


@pytest.mark.parametrize("merge", ["probabilities", "logits"])
@pytest.mark.parametrize("sizes", [[], [{"weight": 1}, {"weight": 3, "side": 60, "window": 64}]])
def test_merged_is_what_reading_the_views_gives(
    pixel_store: Store, model: Build, merge: str, sizes: list[dict]
) -> None:
    store = pixel_store({"a": np.random.default_rng(0).integers(0, 256, (1, 71, 50, 1), np.uint8)})
    given = {"views": ["identity", "flip_h", "rot90", "flip_v@0.8"], "merge": merge, "sizes": sizes}
    apart = _maps(_predictor(Corner(), model(), **given), store)
    together = _maps(_predictor(Corner(), model(), store="merged", **given), store)
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
        merge: _maps(_predictor([Says(0.9), Says(0.2)], model(), merge=merge), store)["identity"][0, 20, 20] / 255
        for merge in ("probabilities", "logits")
    }
    assert found == pytest.approx({"probabilities": 0.55, "logits": 0.6}, abs=1 / 255)  # sqrt(9 · 0.25) = 1.5 = .6 / .4


def test_maps_are_merged_by_probabilities_or_logits() -> None:
    one, two = np.array([0, 255, 230, 0], np.uint8), np.array([0, 255, 51, 255], np.uint8)
    np.testing.assert_allclose(merge_maps([one, two], "probabilities"), [0, 255, 140.5, 127.5])
    np.testing.assert_allclose(merge_maps([one, two], "logits"), [0, 255, 153.7, 127.5], atol=0.1)
    np.testing.assert_array_equal(merge_maps([two], "logits"), two)


class Counting(Level):
    """Counts the windows."""

    def __init__(self):
        super().__init__()
        self.windows = 0

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        self.windows += len(windows)
        return super().forward(windows)


@pytest.mark.parametrize("zoom", [1.0, 0.5, 2.0])
def test_windows_outside_the_valid_area_are_skipped(
    pixel_store: Store, model: Build, monkeypatch: pytest.MonkeyPatch, zoom: float
) -> None:
    store = pixel_store({"a": np.random.default_rng(0).integers(0, 256, (1, 300, 280, 1), np.uint8)})
    full, part = Counting(), Counting()
    everywhere = _maps(_predictor(full, model(zoom=zoom)), store)["identity"]
    valid = np.zeros((300, 280), np.uint8)
    valid[200:230, 130:170] = 1
    monkeypatch.setattr(PixelStore, "valid", lambda self, image_id, z: valid)
    found = _maps(_predictor(part, model(zoom=zoom)), store)["identity"]
    assert 0 < part.windows < full.windows / 2
    np.testing.assert_array_equal(found[0][valid > 0], everywhere[0][valid > 0])
    assert not found[0, :100].any()


def test_what_several_stacks_show_is_read_once(
    pixel_store: Store, model: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = pixel_store({"a": np.random.default_rng(0).integers(0, 256, (9, 40, 40, 1), np.uint8)})
    store.file.close()
    with h5py.File(store.path, "r+") as file:
        file["a"].attrs["label_depth"] = 1
    store, seen = PixelStore(store.path), []
    read = PixelStore._window

    def window(self: PixelStore, image_id: str, z: int, *place: int) -> np.ndarray:
        seen.append((z, *place))
        return read(self, image_id, z, *place)

    monkeypatch.setattr(PixelStore, "_window", window)
    _maps(_predictor(Level(), model(slices=5, centres=[3, 4, 5]), views=["identity", "flip_h"]), store)
    assert len(seen) == len(set(seen)) == 7 * 4  # slices 1…7 of four windows


@pytest.mark.parametrize("zoom", [1.0, 0.7, 2.0])
def test_memory_does_not_grow_with_the_height(
    pixel_store: Store, model: Build, monkeypatch: pytest.MonkeyPatch, zoom: float
) -> None:
    """Neither what numpy holds, nor the blocks of sums."""
    heights, peaks, open_blocks = (1000, 4000), {}, {}
    store = pixel_store({str(height): np.zeros((1, height, 300, 1), np.uint8) for height in heights})
    monkeypatch.setattr(stitching, "ROWS", 64)
    monkeypatch.setattr(sweep, "ROWS", 64)
    allocated = stitching.Stitcher._zeros
    for height in heights:
        made = []
        monkeypatch.setattr(
            stitching.Stitcher, "_zeros", lambda self, *shape, made=made: (made.append(1), allocated(self, *shape))[1]
        )
        tracemalloc.start()
        for _ in _predictor(Level(), model(zoom=zoom), window=64).blocks(store, str(height), 0):
            pass
        peaks[height], open_blocks[height] = tracemalloc.get_traced_memory()[1], len(made)
        tracemalloc.stop()
    assert peaks[4000] < 1.2 * peaks[1000] + 2**18  # the list of windows grows
    assert open_blocks[4000] == open_blocks[1000]


class Full(Level):
    """Out of memory, `times` in a row, once it has predicted `after` batches."""

    def __init__(self, times: int, after: int = 1, error: type[Exception] = torch.OutOfMemoryError):
        super().__init__()
        self.times, self.after, self.error = times, after, error

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        self.after -= 1
        if self.after < 0 and self.times:
            self.times -= 1
            raise self.error("no memory")
        return super().forward(windows)


def test_out_of_memory_sums_go_to_the_host_and_one_line_says_so(pixel_store: Store, model: Build) -> None:
    store = pixel_store({"a": np.random.default_rng(0).integers(0, 256, (1, 150, 200, 1), np.uint8)})
    expected, said = _maps(_predictor(Level(), model()), store), []

    def predictor(network: nn.Module, device: torch.device) -> Predictor:
        predict = Predict(window=32, overlap=0.25, views=["identity"])
        return Predictor([network], model(), predict, Binary(["a"]), device, nullcontext, said.append)

    other = torch.device("cpu", 0)  # the CPU under a name that is not the host's
    for _ in range(2):
        found = _maps(predictor(Full(1), other), store)
        np.testing.assert_array_equal(found["identity"], expected["identity"])
    assert said == ["out of memory on cpu:0: from here on, windows are summed in host memory"] * 2
    with pytest.raises(torch.OutOfMemoryError):
        _maps(predictor(Full(2), other), store)
    with pytest.raises(torch.OutOfMemoryError):
        _maps(predictor(Full(1), torch.device("cpu")), store)
    with pytest.raises(RuntimeError, match="no memory"):
        _maps(predictor(Full(1, error=RuntimeError), other), store)

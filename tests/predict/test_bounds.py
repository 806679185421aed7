"""What prediction reads, holds and leaves out."""

import tracemalloc
from collections.abc import Callable
from contextlib import nullcontext

import h5py
import numpy as np
import pytest
import torch

from predictions import Level, maps_of, predictor_of
from tessera.data.pixels import PixelStore
from tessera.errors import InputError
from tessera.params.model import Model
from tessera.params.predict import Predict
from tessera.predict import blocks, stitching, sweep
from tessera.predict.predictor import Predictor
from tessera.tasks import Binary

Store = Callable[..., PixelStore]
Build = Callable[..., Model]


class Counting(Level):
    """Counts the windows."""

    def __init__(self):
        super().__init__()
        self.windows = 0

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        self.windows += len(windows)
        return super().forward(windows)


@pytest.mark.parametrize("zoom", [1.0, 0.5, 2.0])
def test_outside_the_valid_area_windows_are_skipped_and_all_is_0(
    pixel_store: Store, model: Build, monkeypatch: pytest.MonkeyPatch, zoom: float
) -> None:
    store = pixel_store({"a": np.random.default_rng(0).integers(0, 256, (1, 300, 280, 1), np.uint8)})
    full, part = Counting(), Counting()
    everywhere = maps_of(predictor_of(full, model(zoom=zoom)), store)["identity"]
    valid = np.zeros((300, 280), np.uint8)
    valid[200:230, 130:170] = 1
    monkeypatch.setattr(PixelStore, "valid", lambda self, image_id, z: valid)
    found = maps_of(predictor_of(part, model(zoom=zoom)), store)["identity"]
    assert 0 < part.windows < full.windows / 2
    np.testing.assert_array_equal(found[0][valid > 0], everywhere[0][valid > 0])
    assert not found[0][valid == 0].any()


def test_of_the_valid_area_one_row_of_windows_is_held_at_a_time(
    pixel_store: Store, model: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a map of the file: what was looked at counts as memory until it is let go of."""
    store, seen = pixel_store({"a": np.zeros((1, 320, 96, 1), np.uint8)}), []

    class Watched:
        def __getitem__(self, place: tuple[slice, slice]) -> np.ndarray:
            seen.append(place[0].stop)
            return np.zeros((1, 1))

    monkeypatch.setattr(PixelStore, "valid", lambda self, image_id, z: Watched())
    monkeypatch.setattr(PixelStore, "forget", lambda self: seen.append(None))
    maps_of(predictor_of(Level(), model(), overlap=0), store)
    of_windows = [end for row in range(1, 11) for end in (*[min(32 * row + 1, 320)] * 3, None)]
    assert seen == [*of_windows, 256, 320]  # then it is laid over the blocks


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
    maps_of(predictor_of(Level(), model(slices=5, centres=[3, 4, 5]), views=["identity", "flip_h"]), store)
    assert len(seen) == len(set(seen)) == 7 * 4  # slices 1…7 of four windows


@pytest.mark.parametrize("zoom", [1.0, 0.7, 2.0])
def test_memory_does_not_grow_with_the_height(
    pixel_store: Store, model: Build, monkeypatch: pytest.MonkeyPatch, zoom: float
) -> None:
    """Neither what numpy holds, nor the bands of sums."""
    heights, peaks, bands = (1000, 4000), {}, {}
    store = pixel_store({str(height): np.zeros((1, height, 300, 1), np.uint8) for height in heights})
    monkeypatch.setattr(blocks, "ROWS", 64)
    allocated = stitching.Stitcher._zeros
    for height in heights:
        made = []
        monkeypatch.setattr(stitching.Stitcher, "_zeros", lambda self, made=made: (made.append(1), allocated(self))[1])
        tracemalloc.start()
        for _ in predictor_of(Level(), model(zoom=zoom), window=64).blocks(store, str(height), 0):
            pass
        peaks[height], bands[height] = tracemalloc.get_traced_memory()[1], len(made)
        tracemalloc.stop()
    assert peaks[4000] < 1.2 * peaks[1000] + 2**18  # the list of windows grows
    assert bands[4000] == bands[1000]


def test_sums_that_go_to_the_host_can_still_be_added_to(
    pixel_store: Store, model: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is made in inference mode may not be changed outside of it."""
    store, made = pixel_store({"a": np.zeros((1, 70, 70, 1), np.uint8)}), []
    monkeypatch.setattr(stitching.Stitcher, "settle", lambda self: made.append(torch.zeros(1).is_inference()))
    predict = Predict(window=32, overlap=0.25, views=["identity", "flip_h"], store="merged")
    device = torch.device("cpu", 0)
    maps_of(Predictor([Full(1)], model(), predict, Binary(["a"]), device, nullcontext, str), store)
    assert made == [False, False]  # when it was made, and when the device was full


@pytest.mark.parametrize("changes", [{}, {"sizes": [{"weight": 1}, {"weight": 1, "side": 90}]}, {"overlap": 0}])
def test_a_network_that_says_nan_ends_the_prediction(pixel_store: Store, model: Build, changes: dict) -> None:
    """Of one pixel of the first window alone."""

    class Broken(Level):
        first = True

        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            answer = super().forward(windows)
            if self.first:
                answer[0, 0, 0, 0], self.first = float("nan"), False
            return answer

    store = pixel_store({"a": np.zeros((1, 130, 90, 1), np.uint8)})
    with pytest.raises(InputError, match="says NaN"):
        maps_of(predictor_of(Broken(), model(), **changes), store)


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
    expected, said = maps_of(predictor_of(Level(), model()), store), []

    def predictor(network: Level, device: torch.device) -> Predictor:
        predict = Predict(window=32, overlap=0.25, views=["identity"])
        return Predictor([network], model(), predict, Binary(["a"]), device, nullcontext, said.append)

    other = torch.device("cpu", 0)  # the CPU under a name that is not the host's
    for _ in range(2):
        found = maps_of(predictor(Full(1), other), store)
        np.testing.assert_array_equal(found["identity"], expected["identity"])
    assert said == ["out of memory on cpu:0: from here on, windows are summed in host memory"] * 2
    with pytest.raises(torch.OutOfMemoryError):
        maps_of(predictor(Full(2), other), store)
    with pytest.raises(torch.OutOfMemoryError):
        maps_of(predictor(Full(1), torch.device("cpu")), store)
    with pytest.raises(RuntimeError, match="no memory"):
        maps_of(predictor(Full(1, error=RuntimeError), other), store)


def test_the_copy_of_a_flip_may_be_what_does_not_fit(
    pixel_store: Store, model: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = pixel_store({"a": np.random.default_rng(0).integers(0, 256, (1, 150, 200, 1), np.uint8)})
    predict, said, calls, turned = Predict(window=32, overlap=0.25, views=["identity", "flip_h"]), [], [], sweep.turned
    expected = maps_of(predictor_of(Level(), model(), views=predict.views), store)

    def full_once(pixels: torch.Tensor, turn: str) -> torch.Tensor:
        calls.append(turn)
        if len(calls) == 4:
            raise torch.OutOfMemoryError("no memory")
        return turned(pixels, turn)

    monkeypatch.setattr(sweep, "turned", full_once)
    arguments = model(), predict, Binary(["a"]), torch.device("cpu", 0), nullcontext, said.append
    found = maps_of(Predictor([Level()], *arguments), store)
    assert len(said) == 1
    for view, maps in expected.items():
        np.testing.assert_array_equal(found[view], maps)

"""Law 6: killed, it goes on with the next item, to the same bytes."""

import os
import signal
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tessera.data.boxes import BOX
from tessera.data.pixels import PixelStore
from tessera.errors import InputError
from tessera.params.model import Model
from tessera.params.predict import Predict
from tessera.predict.predictor import Predictor
from tessera.predict.write import write_predictions
from tessera.tasks import Binary

ITEMS = pd.DataFrame(
    [(name, name, 0, 1, 0, 40, 0, 50, 40, 50) for name in "cab"], columns=["item", *BOX, "height", "width"]
)


class Level(nn.Module):
    """Grey g is the probability g / 255. At the batch `kills`, the process is killed."""

    def __init__(self, kills: int = 0):
        super().__init__()
        self.kills, self.batches = kills, 0

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        self.batches += 1
        if self.batches == self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        return (windows.float() / 255).logit(1e-4)


@pytest.fixture
def store(pixel_store: Callable[..., PixelStore]) -> PixelStore:
    rng = np.random.default_rng(0)
    return pixel_store({name: rng.integers(0, 256, (1, 40, 50, 1), np.uint8) for name in "abc"})


def _write(path: Path, network: Level, store: PixelStore, model: Model) -> None:
    predict = Predict(window=32, overlap=0.25, views=["identity", "flip_h"])
    predictor = Predictor([network], model, predict, Binary(["a"]), torch.device("cpu"), nullcontext)
    write_predictions(path, predictor, store, ITEMS, {"model": "m"}, path.with_suffix(""))


@pytest.mark.parametrize(("kills", "left"), [(1, 6), (4, 4), (6, 2)])
def test_killed_it_goes_on_with_the_next_item_to_the_same_bytes(
    store: PixelStore, model: Callable[..., Model], tmp_path: Path, kills: int, left: int
) -> None:
    """An item is a batch of each view, which makes two."""
    _write(tmp_path / "whole.h5", Level(), store, model())
    killed = get_context("fork").Process(
        target=_write, args=(tmp_path / "again.h5", Level(kills), PixelStore(store.path), model())
    )
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    network = Level()
    _write(tmp_path / "again.h5", network, store, model())
    assert network.batches == left
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert sorted(file.name for file in (tmp_path / "again").iterdir()) == ["0.h5", "1.h5", "2.h5"]
    with h5py.File(tmp_path / "again.h5") as file:
        for name in "abc":
            expected = store.file[name]["pixels"][0, :, :, 0].astype(int)
            assert np.abs(file[name]["flip_h"][0, 0] - expected).max() <= 1


@pytest.mark.parametrize(("size", "item"), [(40 * 50 * 2 - 1, "0.part"), (40 * 50 * 2, "p.h5")])
def test_room_is_looked_for_before_it_is_written(
    store: PixelStore, model: Callable[..., Model], tmp_path: Path, free: Callable[[int], None], size: int, item: str
) -> None:
    """For a block of both views, then for all that was predicted."""
    free(size)
    with pytest.raises(InputError, match=f"{item} cannot be saved .the disk is nearly full"):
        _write(tmp_path / "p.h5", Level(), store, model())
    free(2**20)
    _write(tmp_path / "p.h5", Level(), store, model())

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from tessera.data.pixels import PixelStore
from tessera.data.stacks import Stack
from tessera.errors import InputError
from tessera.learn.augmentations.build import build_augmentation
from tessera.learn.dataset import Shape, Windows
from tessera.learn.first_batch import COLOURS, GAP, ROWS, SIDE, write_first_batch
from tessera.learn.loading import Loader
from tessera.learn.loop import Batch
from tessera.params.model import Model
from tessera.tasks import Binary


@pytest.fixture
def batches(
    pixel_store: Callable[..., PixelStore], model: Callable[..., Model]
) -> Callable[[int, list[int]], list[Batch]]:
    """The same patches of a volume whose slices are 0, 100 and 200, without and with augmentation."""

    def build(channels: int, items: list[int]) -> list[Batch]:
        pixels = np.broadcast_to(np.uint8([0, 100, 200])[:, None, None, None], (3, 64, 64, channels))
        labels = np.zeros((3, 64, 64), np.uint8)
        labels[1, :32], labels[1, 32:48] = 1, 255
        store = pixel_store({"v": pixels}, {"v": labels})
        patches = pd.DataFrame({"image_id": ["v"] * 3, "z": 1, "y": 16, "x": [0, 16, 32]})
        shape = Shape(32, Stack(3, 1))
        augmentation = build_augmentation(model(slices=3), channels, Binary(["a"]))
        both = Windows(store, patches, 32, shape), Windows(store, patches, 32, shape, augmentation)
        loaders = [Loader(one, one, Binary(["a"]), len(items), 0, torch.device("cpu")) for one in both]
        return [loader.first(np.array(items)) for loader in loaders]

    return build


@pytest.mark.parametrize("channels", [1, 3])
def test_a_row_shows_the_middle_slice_its_labels_and_both_as_trained_on(tmp_path: Path, batches, channels: int) -> None:
    path = tmp_path / "first.png"
    write_first_batch(path, *batches(channels, [1, 0, 5]), channels)
    page = cv2.imread(str(path))[..., ::-1]
    rows = page[-3 * (SIDE + GAP) :].reshape(3, SIDE + GAP, 4, SIDE + GAP, 3).swapaxes(1, 2)[:, :, :SIDE, :SIDE]
    assert (rows[:, 0] == 100).all()
    positive, ignored = rows[0, 1, 2, SIDE // 2], rows[0, 1, -2, SIDE // 2]
    assert np.abs(positive - (50 + 0.5 * np.array(COLOURS[0]))).max() <= 1
    assert np.abs(ignored - (50 + 0.5 * 128)).max() <= 1
    assert np.array_equal(rows[0, 1], rows[1, 1])  # at the same height of the image
    shown = [np.unique(panel.reshape(-1, 3), axis=0).tolist() for panel in rows[:, 3]]
    assert all(len(colours) <= 3 for colours in shown)


def test_a_large_batch_is_shown_in_part(tmp_path: Path, batches) -> None:
    write_first_batch(tmp_path / "first.png", *batches(1, list(range(20))), 1)
    assert len(cv2.imread(str(tmp_path / "first.png"))) < (ROWS + 1) * (SIDE + GAP)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path, batches) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_first_batch(tmp_path / "no" / "first.png", *batches(1, [0]), 1)

"""Windows gathered on a device are, byte for byte, those that `Windows` reads."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from tessera.data.pixels import PixelStore, create_image
from tessera.data.stacks import Stack
from tessera.learn.dataset import Shape, Windows
from tessera.learn.on_device.pixels import DevicePixels, Layout, pack, send_packed
from tessera.learn.on_device.turns import Turn

CPU = torch.device("cpu")
DRAWS = 60


def keep(image: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return image, labels


def write(path: Path, random: np.random.Generator, classes: int, channels: int, projected: bool) -> PixelStore:
    """Four images of random sizes, some smaller than any window, the first a single slice."""
    with h5py.File(path, "w") as file:
        for number in range(4):
            depth = int(random.integers(2, 12)) if number or not projected else 1
            shape = (1 if number == 0 and not projected else depth, *random.integers(1, 90, 2).tolist(), channels)
            create_image(file, f"i{number}", shape, shape[1:3], classes, label_depth=1 if projected else None)
            for name in ("pixels", "labels"):
                array = file[f"i{number}"][name]
                values = np.arange(256, dtype=np.uint8) if name == "pixels" else np.array([0, 1, 255], np.uint8)
                array[:] = random.choice(values, array.shape)
    return PixelStore(path)


def some_shape(random: np.random.Generator, planes: bool) -> Shape:
    slices, edge = int(random.choice([1, 3, 5])), str(random.choice(["clamp", "reflect"]))
    stack = Stack(slices, int(random.integers(1, 4)), edge)
    drawn = ("xy", "xz", "yz")[: int(random.integers(1, 4))] if planes else ("xy",)
    size, shift, margin = int(random.choice([32, 64])), int(random.integers(0, 3)), int(random.integers(0, 12))
    return Shape(size, stack, 1.0, shift, drawn, margin)


def some_patches(store: PixelStore, random: np.random.Generator, planes: bool, ends: bool) -> pd.DataFrame:
    rows = []
    for name in ["i1", "i2", "i3"] if planes else ["i0", "i1", "i2", "i3"]:
        _, height, width = store.shape(name)
        z = int(random.integers(store.depth(name).labelled))
        rows += [(name, z, int(random.integers(-9, height)), int(random.integers(-9, width))) for _ in range(3)]
    patches = pd.DataFrame(rows, columns=["image_id", "z", "y", "x"])
    far = random.integers(1, 60, (len(rows), 2))
    return patches.assign(end_y=patches.y + far[:, 0], end_x=patches.x + far[:, 1]) if ends else patches


def as_planes(labels: torch.Tensor) -> torch.Tensor:
    return labels[None] if labels.ndim == 2 else labels.movedim(-1, 0)


@pytest.mark.parametrize("seed", range(DRAWS))
def test_both_paths_read_the_same_bytes(tmp_path: Path, seed: int) -> None:
    """Whatever the shape of images, windows and stacks; moved and not moved."""
    random = np.random.default_rng(seed)
    classes, projected = int(random.choice([1, 1, 3])), seed % 5 == 0
    store = write(tmp_path / "tiles.h5", random, classes, int(random.choice([1, 2, 3])), projected)
    planes, moved = not projected and bool(seed % 2), bool(random.integers(2))
    patches = some_patches(store, random, planes, ends=not moved and seed % 3 == 0)
    items = Windows(store, patches, 16, some_shape(random, planes), keep if moved else None, seed)
    items.epoch = int(random.integers(5))
    places = [items.place(index)[0] for index in range(2 * len(items))]
    names = patches.image_id.unique()
    found = Layout(store, names, range(classes)).find(items, places, [Turn()] * len(places))
    windows, labels = DevicePixels(store, names, CPU).read(*send_packed(pack(found), CPU))
    cut = slice(items.edge, items.edge + items.shape.size)
    for index in range(len(places)):
        window, label = items[index]
        assert torch.equal(windows[index][:, cut, cut], window)
        assert torch.equal(labels[index][:, cut, cut], as_planes(label))


ORIENTATIONS = [Turn(*map(bool, map(int, f"{number:03b}"))) for number in range(8)]


def turned(image: np.ndarray, turn: Turn) -> np.ndarray:
    """(…, H, W)."""
    image = image.swapaxes(-1, -2) if turn.swapped else image
    image = image[..., ::-1, :] if turn.up else image
    return image[..., ::-1] if turn.left else image


@pytest.mark.parametrize("turn", ORIENTATIONS)
def test_a_turn_moves_labels_with_pixels_and_swaps_paired_classes_of_a_mirror_image(tmp_path: Path, turn: Turn) -> None:
    store = write(tmp_path / "tiles.h5", np.random.default_rng(3), classes=3, channels=2, projected=False)
    patches = some_patches(store, np.random.default_rng(0), planes=True, ends=False)
    items = Windows(store, patches, 16, Shape(32, Stack(3), planes=("xz", "xy")), keep)
    places = [items.place(index)[0] for index in range(len(items))]
    names = patches.image_id.unique()
    layout, pixels = Layout(store, names, [1, 0, 2]), DevicePixels(store, names, CPU)
    found = [layout.find(items, places, [way] * len(places)) for way in (Turn(), turn)]
    plain, (windows, labels) = (pixels.read(*send_packed(pack(one), CPU)) for one in found)
    np.testing.assert_array_equal(windows, turned(plain[0].numpy(), turn))
    expected = turned(plain[1].numpy(), turn)
    np.testing.assert_array_equal(labels, expected[:, [1, 0, 2]] if turn.mirrors else expected)
    rotation = any(
        np.array_equal(turned(np.arange(4).reshape(2, 2), turn), np.rot90([[0, 1], [2, 3]], k)) for k in range(4)
    )
    assert turn.mirrors != rotation

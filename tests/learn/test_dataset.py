import pickle
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from tessera.data.boxes import BOX
from tessera.data.pixels import PixelStore
from tessera.data.stacks import Stack
from tessera.learn.augmentations.build import build_augmentation
from tessera.learn.dataset import Shape, Windows, covered, windows_of
from tessera.params.augment import Augment
from tessera.params.model import Model
from tessera.tasks import Binary

MODEL = Model(
    decoder="Unet", encoder="resnet18", size=32, slices=3, epochs=1, batch=1, lr=1, loss={"bce": 1},
    augment={"scale": 0.2, "rotate": 20, "brightness": 0.2},
)  # fmt: skip
PATCH = 32


@pytest.fixture
def store(pixel_store: Callable[..., PixelStore]) -> PixelStore:
    rng = np.random.default_rng(0)
    sizes = {"large": (4, 90, 120), "flat": (1, 20, 100), "tiny": (2, 9, 13)}
    return pixel_store({name: rng.integers(0, 256, (*size, 2), np.uint8) for name, size in sizes.items()})


def _patches(*rows: tuple[str, int, int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image_id", "z", "y", "x"])


def _parts(*rows: tuple[str, int, int, int, int, int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=BOX)


MANY = _patches(("large", 0, 0, 0), ("large", 3, 58, 88), ("large", 2, 30, 40), ("flat", 0, 0, 68), ("tiny", 1, 0, 0))


def _windows(store: PixelStore, patches: pd.DataFrame = MANY, augment: bool = True, **changes: object) -> Windows:
    augmentation = build_augmentation(MODEL, 2, Binary(["a"])) if augment else None
    return Windows(
        store, patches, PATCH, **{"shape": Shape(32, Stack(3)), "augmentation": augmentation, "seed": 5} | changes
    )


def _same(one: tuple, other: tuple) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_items_are_uint8_windows_of_one_size(store: PixelStore) -> None:
    for augment in (True, False):
        for image, labels in (_windows(store, augment=augment)[index] for index in range(len(MANY))):
            assert (image.shape, image.dtype) == ((6, 32, 32), torch.uint8)
            assert (labels.shape, labels.dtype) == ((32, 32), torch.uint8)
            assert set(labels.unique().tolist()) <= {0, 1, 255}


@pytest.mark.parametrize("size", [32, 64])
def test_without_augmentation_the_window_lies_around_the_patch(store: PixelStore, size: int) -> None:
    image, labels = _windows(store, _patches(("large", 2, 30, 40)), augment=False, shape=Shape(size, Stack(3)))[0]
    y, x = 30 + PATCH // 2 - size // 2, 40 + PATCH // 2 - size // 2
    pixels = store.file["large"]["pixels"][1:4, y : y + size, x : x + size]
    np.testing.assert_array_equal(image, pixels.transpose(0, 3, 1, 2).reshape(6, size, size))
    np.testing.assert_array_equal(labels, store.file["large"]["labels"][2, y : y + size, x : x + size])


def test_an_item_depends_on_seed_epoch_and_index_alone(store: PixelStore) -> None:
    windows = _windows(store)
    items = [windows[index] for index in range(len(windows))]
    other = pickle.loads(pickle.dumps(_windows(store).stores["xy"]))  # as in a loader process
    again = _windows(other)
    np.random.seed(3)
    torch.manual_seed(3)
    for index in reversed(range(len(again))):
        assert _same(again[index], items[index])


@pytest.mark.parametrize("change", ["seed", "epoch"])
def test_another_seed_or_epoch_changes_items(store: PixelStore, change: str) -> None:
    first, second = _windows(store), _windows(store)
    setattr(second, change, 6)
    assert not all(_same(first[index], second[index]) for index in range(len(MANY)))


def test_equal_patches_at_two_indices_are_changed_differently(store: PixelStore) -> None:
    windows = _windows(store, _patches(*[("large", 2, 30, 40)] * 8))
    assert len({windows[index][0].numpy().tobytes() for index in range(8)}) > 1


def test_moved_windows_stay_within_a_quarter_and_inside_the_image(store: PixelStore) -> None:
    def keep(image: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        return image, labels

    windows = _windows(
        store, _patches(("large", 0, 30, 40), ("large", 0, 58, 88)), augmentation=keep, shape=Shape(32, Stack(1))
    )
    pixels = store.file["large"]["pixels"][0].transpose(2, 0, 1)
    places = set()
    for windows.epoch in range(40):
        for index, (y, x) in enumerate(((30, 40), (58, 88))):
            window = windows[index][0].numpy()
            candidates = [
                (dy, dx)
                for dy in range(-8, 9)
                for dx in range(-8, 9)
                if np.array_equal(pixels[:, y + dy : y + dy + 32, x + dx : x + dx + 32], window)
            ]
            assert len(candidates) == 1
            places.update((index, *place) for place in candidates)
    assert len(places) > 20


@pytest.mark.parametrize("place", [(30, 40), (0, 0), (58, 88)])
def test_a_margin_is_changed_with_the_window_and_cut_off(store: PixelStore, place: tuple[int, int]) -> None:
    """The changed window is larger by the margin to each side; where nothing changes, the item is as without one."""
    seen = []

    def keep(image: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        seen.append((image.shape[:2], labels.shape))
        return image, labels

    patches = _patches(("large", 2, *place))
    plain, wide = (
        _windows(store, patches, augmentation=keep, shape=Shape(32, Stack(1), margin=margin)) for margin in (0, 10)
    )
    for index in range(20):
        assert _same(wide[index], plain[index])
    assert set(seen) == {((32, 32),) * 2, ((52, 52),) * 2}
    (box,) = covered(patches, PATCH, wide.shape, store).itertuples()
    (near,) = covered(patches, PATCH, plain.shape, store).itertuples()
    assert (box.y0, box.x1) == (max(near.y0 - 10, 0), min(near.x1 + 10, 120))


@pytest.mark.parametrize("margin", [0, 8])
def test_a_margin_removes_what_a_rotation_mirrors_in(pixel_store: Callable[..., PixelStore], margin: int) -> None:
    """Of a slope, a turned window is a slope as well; what is mirrored in from beyond a border bends it."""
    slope = np.arange(90, dtype=np.uint8)[:, None] + np.arange(120, dtype=np.uint8)
    windows = _windows(
        pixel_store({"a": slope[None, ..., None]}), _patches(("a", 0, 30, 40)), shape=Shape(32, Stack(1), margin=margin),
        augmentation=build_augmentation(
            MODEL.model_copy(update={"augment": Augment(flip=False, rot90=False, rotate=45)}), 1, Binary(["a"])
        ),
    )  # fmt: skip
    places = np.stack([*(axis.ravel() for axis in np.mgrid[:32, :32]), np.ones(32 * 32)], 1)
    bends = []
    for index in range(60):
        seen = windows[index][0].numpy().ravel().astype(float)
        slopes = np.linalg.lstsq(places, seen, rcond=None)[0]
        bends.append(np.abs(places @ slopes - seen).max())
    assert (max(bends) < 2) if margin else (max(bends) > 6)


@pytest.mark.parametrize("name", ["flat", "tiny"])
def test_an_image_smaller_than_the_window_is_mirrored_and_ignored_there(store: PixelStore, name: str) -> None:
    _, height, width = store.shape(name)
    image, labels = _windows(store, _patches((name, 0, 0, 0)), augment=False, shape=Shape(32, Stack(1)))[0]
    width = min(width, 32)
    pixels = store.file[name]["pixels"][0, :height, :width].transpose(2, 0, 1)
    np.testing.assert_array_equal(image, np.pad(pixels, ((0, 0), (0, 32 - height), (0, 32 - width)), mode="reflect"))
    np.testing.assert_array_equal(labels[:height, :width], store.file[name]["labels"][0, :height, :width])
    assert (labels[height:] == 255).all()
    assert (labels[:, width:] == 255).all()


def test_the_windows_of_parts_count_every_label_once(store: PixelStore) -> None:
    """The last window of a row moves inside and ignores what its neighbour has counted."""
    parts = _parts(("large", 1, 3, 0, 90, 0, 120), ("flat", 0, 1, 0, 20, 0, 100), ("tiny", 0, 2, 0, 9, 0, 13))
    rows = windows_of(parts, 32)
    windows = Windows(store, rows, 32, Shape(32, Stack(1)))
    found = {name: np.zeros(2, int) for name in parts.image_id}
    for index, name in enumerate(rows.image_id):
        found[name] += np.bincount(windows[index][1].ravel(), minlength=256)[:2]
    for part in parts.itertuples():
        labels = store.file[part.image_id]["labels"][part.z0 : part.z1]
        assert found[part.image_id].tolist() == np.bincount(labels.ravel(), minlength=256)[:2].tolist()


@pytest.mark.parametrize("size", [32, 64])
def test_the_windows_of_a_part_of_the_plane_count_its_labels_alone(store: PixelStore, size: int) -> None:
    for y0, y1, x0, x1 in ((0, 45, 0, 120), (45, 90, 0, 120), (30, 90, 70, 75), (88, 90, 0, 7)):
        windows = Windows(store, windows_of(_parts(("large", 1, 3, y0, y1, x0, x1)), size), size, Shape(size, Stack(1)))
        found = sum(np.bincount(windows[index][1].ravel(), minlength=256) for index in range(len(windows)))
        labels = store.file["large"]["labels"][1:3, y0:y1, x0:x1]
        assert found[:2].tolist() == np.bincount(labels.ravel(), minlength=256)[:2].tolist()


@pytest.mark.parametrize("size", [32, 64, 96, 128])
def test_no_training_window_reads_beyond_what_it_is_said_to_cover(
    store: PixelStore, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """And at its furthest it reads just that."""
    patches = _patches(*((name, 0, y, x) for name in ("large", "flat") for y in (0, 30, 58) for x in (0, 40, 88)))
    boxes = covered(patches, PATCH, Shape(size, Stack()), store)
    windows = _windows(store, patches, shape=Shape(size, Stack(1)))
    windows.augmentation = lambda image, labels, seed: (image, labels)
    read = []
    for method in ("read_stack", "read_labels"):
        own = getattr(store, method)
        monkeypatch.setattr(store, method, lambda *args, own=own: (read.append(args[-1]), own(*args))[1])
    found = np.tile([999, 0, 999, 0], (len(patches), 1))
    for windows.epoch in range(300):
        for index in range(len(patches)):
            read.clear()
            windows[index]
            assert len(read) == 2
            for y, x, height, width in read:
                low, high = found[index, ::2], found[index, 1::2]
                low[:], high[:] = np.minimum(low, (y, x)), np.maximum(high, (y + height, x + width))
    assert found.tolist() == boxes[["y0", "y1", "x0", "x1"]].to_numpy().tolist()


def test_loader_processes_read_what_their_parent_reads(store: PixelStore) -> None:
    """The parent has the file open when they start, and they may not share its handle."""
    windows = _windows(store)
    expected = [windows[index] for index in range(len(MANY))]
    loaded = list(DataLoader(windows, batch_size=None, num_workers=2))
    assert all(_same(one, other) for one, other in zip(loaded, expected, strict=True))

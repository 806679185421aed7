"""What training windows see of depth and at which zoom."""

from collections.abc import Callable

import h5py
import numpy as np
import pandas as pd
import pytest

from tessera.data.parts import whole_images
from tessera.data.pixels import PixelStore
from tessera.data.stacks import Stack
from tessera.errors import InputError
from tessera.learn.dataset import Shape, Windows, covered
from tessera.learn.placing import Placed, place_scored, place_training
from tessera.params.model import Model

DEPTH = 6


@pytest.fixture
def store(pixel_store: Callable[..., PixelStore]) -> PixelStore:
    """Each slice has its number as pixels, and as labels whether it is odd; `v` as if it had one label for all depth."""
    pixels = np.broadcast_to(np.arange(DEPTH, dtype=np.uint8)[:, None, None, None], (DEPTH, 64, 64, 1))
    store = pixel_store(dict.fromkeys("sv", pixels), dict.fromkeys("sv", pixels[..., 0] % 2))
    with h5py.File(store.path, "r+") as file:
        file["v"].attrs["label_depth"] = 1
    return store


def _keep(image: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return image, labels


def _drawn(store: PixelStore, image_id: str, z: int, shape: Shape, augmentation: Callable | None = _keep) -> set:
    """What 60 draws of a patch show: the slices of the stack and the label."""
    windows = Windows(
        store, pd.DataFrame([(image_id, z, 16, 16)], columns=["image_id", "z", "y", "x"]), 32, shape, augmentation
    )
    items = [windows[index] for index in range(60)]
    return {(*image[:, 0, 0].tolist(), *labels.unique().tolist()) for image, labels in items}


def test_labels_of_slices_move_with_the_stack(store: PixelStore) -> None:
    shape = Shape(32, Stack(3), shift=2)
    assert _drawn(store, "s", 3, shape) == {(z - 1, z, min(z + 1, 5), z % 2) for z in range(1, 6)}
    assert {middle for _, middle, _, _ in _drawn(store, "s", 0, shape)} == {0, 1, 2}


def test_labels_of_slices_stay_within_the_depths(store: PixelStore) -> None:
    shape = Shape(32, Stack(3, depths=(2, 5)), shift=9)
    assert _drawn(store, "s", 3, shape) == {(max(z - 1, 2), z, min(z + 1, 4), z % 2) for z in (2, 3, 4)}


def test_patches_outside_the_depths_do_not_train(store: PixelStore, model: Callable[..., Model]) -> None:
    rows = [(name, z, 16, 16, 1.0, 0.5) for name, depth in (("s", DEPTH), ("v", 1)) for z in range(depth)]
    candidates = pd.DataFrame(rows, columns=["image_id", "z", "y", "x", "valid_fraction", "positive_fraction"])
    manifest = pd.DataFrame({"image_id": ["s", "v"], "height": 64, "width": 64, "depth": DEPTH}).assign(
        group="", stratum="", domain=""
    )
    parts = whole_images(manifest).assign(fold=1)

    def placed(**changes: object) -> Placed:
        return place_training(candidates, 32, model(**changes), store, manifest, parts, 0, 0)

    assert placed().patches.z.tolist() == [0, 1, 2, 3, 4, 5, 0]
    patches, windows, kept = placed(depths=[2, 4])
    assert patches[kept].z.tolist() == [2, 3, 0]
    assert windows.z0.tolist() == [2, 3, 0] and kept.all()
    candidates = candidates[candidates.image_id == "s"]
    with pytest.raises(InputError, match=r"held-out fold has no slice within depths \(9, 12\)"):
        place_scored(parts[parts.image_id == "s"], Shape(32, Stack(depths=(9, 12))), store)
    scored = place_scored(parts, Shape(64, Stack(depths=(2, 4))), store)
    assert scored[["image_id", "z"]].to_numpy().tolist() == [["s", 2], ["s", 3], ["v", 0]]
    with pytest.raises(InputError, match=r"no candidate patch lies within depths \(9, 12\)"):
        placed(depths=[9, 12])


def test_one_label_stays_while_the_stack_moves(store: PixelStore) -> None:
    assert _drawn(store, "v", 0, Shape(32, Stack(1), shift=1)) == {(2, 0), (3, 0), (4, 0)}
    assert _drawn(store, "v", 0, Shape(32, Stack(1, centres=(0, 4)), shift=1)) == {(z, 0) for z in (0, 1, 3, 4, 5)}
    assert _drawn(store, "v", 0, Shape(32, Stack(1, depths=(2, 4)), shift=9)) == {(2, 0), (3, 0)}


def test_nothing_moves_where_training_is_scored(store: PixelStore) -> None:
    assert _drawn(store, "s", 3, Shape(32, Stack(3), shift=2), None) == {(2, 3, 4, 1)}
    assert _drawn(store, "v", 0, Shape(32, Stack(1, centres=(0, 2, 4)), shift=2), None) == {(2, 0)}


def test_shifted_slices_are_among_what_training_may_read(store: PixelStore) -> None:
    patches = pd.DataFrame([("s", 0), ("s", 3), ("s", 5), ("v", 0)], columns=["image_id", "z"]).assign(y=16, x=16)
    boxes = covered(patches, 32, Shape(32, Stack(), shift=2), store)
    assert boxes[["z0", "z1"]].to_numpy().tolist() == [[0, 3], [1, 6], [3, 6], [0, 6]]


def test_a_zoomed_window_reads_more_and_shows_as_much(pixel_store: Callable[..., PixelStore]) -> None:
    coarse = np.random.default_rng(0).integers(0, 2, (1, 48, 48), np.uint8)
    labels = coarse.repeat(2, 1).repeat(2, 2)
    store = pixel_store({"a": labels[..., None] * 200}, {"a": labels})
    patch = pd.DataFrame([("a", 0, 16, 16)], columns=["image_id", "z", "y", "x"])
    shape = Shape(32, Stack(), zoom=2.0)
    image, found = Windows(store, patch, 32, shape)[0]
    np.testing.assert_array_equal(found, coarse[0, :32, :32])
    np.testing.assert_array_equal(image[0], coarse[0, :32, :32] * 200)
    box = covered(patch, 32, shape, store).iloc[0]
    assert [box.y0, box.y1, box.x0, box.x1] == [0, 80, 0, 80], "64 px, moved by up to a quarter of them"


def test_beyond_a_small_image_a_zoomed_window_is_ignored(store: PixelStore) -> None:
    patch = pd.DataFrame([("s", 1, 0, 0)], columns=["image_id", "z", "y", "x"])
    _, labels = Windows(store, patch, 96, Shape(32, Stack(), zoom=3.0))[0]
    assert labels.shape == (32, 32)
    assert (labels[:21, :21] == 1).all()
    assert (labels[22:] == 255).all()

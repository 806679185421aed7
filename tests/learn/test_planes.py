"""Training windows in other planes of a volume, and what they keep away from (law 4)."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tessera.data.boxes import BOX
from tessera.data.parts import training_patches
from tessera.data.pixels import AXES, PixelStore
from tessera.data.stacks import Stack
from tessera.errors import InputError
from tessera.learn.dataset import Shape, Windows, covered

SIZES = {"v": (50, 60, 70), "flat": (5, 60, 40)}
ALL = ("xy", "xz", "yz")


@pytest.fixture
def store(pixel_store: Callable[..., PixelStore]) -> PixelStore:
    rng = np.random.default_rng(0)
    return pixel_store({name: rng.integers(0, 256, (*size, 1), np.uint8) for name, size in SIZES.items()})


def _patches(*rows: tuple[str, int, int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image_id", "z", "y", "x"])


def _keep(image: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return image, labels


@pytest.mark.parametrize("plane", ALL)
def test_a_plane_of_the_store_is_the_volume_turned(store: PixelStore, plane: str) -> None:
    turned = store.in_plane(plane)
    volume = store.file["v"]["pixels"][:].transpose(*AXES[plane], 3)
    labels = store.file["v"]["labels"][:].transpose(AXES[plane])
    assert turned.shape("v") == volume.shape[:3]
    expected = np.concatenate([volume[z, 3:13, 4:24] for z in (6, 7, 8)], 2)
    np.testing.assert_array_equal(turned.read_stack("v", [6, 7, 8], (3, 4, 10, 20)), expected)
    np.testing.assert_array_equal(turned.read_labels("v", 9, (3, 4, 10, 20)), labels[9, 3:13, 4:24])


@pytest.mark.parametrize(("plane", "rows"), [("xz", np.s_[9:41, 30, 20:52]), ("yz", np.s_[9:41, 14:46, 36])])
def test_a_window_lies_through_the_centre_of_its_patch(store: PixelStore, plane: str, rows: tuple) -> None:
    """Of the patch at z 25, y 14…46, x 20…52."""
    image, labels = Windows(store, _patches(("v", 25, 14, 20)), 32, Shape(32, Stack(), planes=(plane,)))[0]
    np.testing.assert_array_equal(image[0], store.file["v"]["pixels"][..., 0][rows])
    np.testing.assert_array_equal(labels, store.file["v"]["labels"][:][rows])


def test_training_draws_every_plane(store: PixelStore) -> None:
    """Of a volume of five slices, in the other planes all rows but five are mirrored and ignored."""
    windows = Windows(store, _patches(("flat", 2, 14, 4)), 32, Shape(32, Stack(3), planes=ALL), _keep)
    ignored = [bool((windows[index][1][5:] == 255).all()) for index in range(60)]
    assert 20 < sum(ignored) < 55
    assert {tuple(image.shape) for image, _ in (windows[index] for index in range(60))} == {(3, 32, 32)}


@pytest.mark.parametrize("planes", [("xy",), ("xy", "xz"), ALL])
def test_no_window_of_any_plane_reads_beyond_what_it_is_said_to_cover(
    store: PixelStore, monkeypatch: pytest.MonkeyPatch, planes: tuple[str, ...]
) -> None:
    patches = _patches(("v", 25, 14, 20), ("v", 49, 28, 38), ("flat", 2, 10, 4))
    shape = Shape(32, Stack(3, 2), shift=1, planes=planes)
    boxes = covered(patches, 32, shape, store)
    windows = Windows(store, patches, 32, shape, _keep)
    read = []

    def note(image_id: str, plane: str, depths: list[int], window: tuple[int, int, int, int]) -> None:
        y, x, height, width = window
        low, high = max(min(depths), 0), min(max(depths) + 1, store.in_plane(plane).shape(image_id)[0])
        bounds = (low, high), (y, y + height), (x, x + width)
        read.append([bounds[axis] for axis in np.argsort(AXES[plane])])

    def listen(turned: PixelStore) -> None:
        stack, labels = turned.read_stack, turned.read_labels

        def read_stack(image_id: str, depths: list[int], window: tuple) -> np.ndarray:
            note(image_id, turned.plane, depths[1:2] if turned.plane == "xy" else depths, window)
            return stack(image_id, depths, window)

        def read_labels(image_id: str, z: int, window: tuple) -> np.ndarray:
            note(image_id, turned.plane, [z], window)
            return labels(image_id, z, window)

        monkeypatch.setattr(turned, "read_stack", read_stack)
        monkeypatch.setattr(turned, "read_labels", read_labels)

    for turned in windows.stores.values():
        listen(turned)
    for index in range(len(patches)):
        read.clear()
        for draw in range(150):
            windows[index + len(patches) * draw]
        found = np.array(read)
        box = boxes.loc[index]
        assert (found[..., 0].min(0) >= [box.z0, box.y0, box.x0]).all()
        assert (found[..., 1].max(0) <= [box.z1, box.y1, box.x1]).all()


@pytest.mark.parametrize(
    ("planes", "box"),
    [
        (("xy",), [24, 27, 6, 54, 12, 60]),  # ± 1 slice; 32 px, ± 8
        (("xz",), [9, 41, 19, 42, 12, 60]),  # along y ± 8, ± 1 of the shift, ± 2 of the stack
        (("yz",), [9, 41, 6, 54, 25, 48]),
        (ALL, [9, 41, 6, 54, 12, 60]),
    ],
)
def test_what_the_windows_of_a_patch_around_25_30_36_cover(store: PixelStore, planes: tuple, box: list[int]) -> None:
    found = covered(_patches(("v", 25, 14, 20)), 32, Shape(32, Stack(3, 2), shift=1, planes=planes), store)
    assert found.loc[0, BOX[1:]].tolist() == box


@pytest.mark.parametrize("buffer", [0, 2])
def test_beside_a_block_of_slices_the_depth_of_a_window_counts(pixel_store: Callable, buffer: int) -> None:
    """Slices 80…159 are held out: a window of 32 px in xz ends 16 slices behind its patch."""
    store = pixel_store({"v": np.zeros((160, 40, 40, 1), np.uint8)})
    patches = _patches(*[("v", z, 4, 4) for z in range(160)])
    boxes = patches.assign(z0=patches.z, z1=patches.z + 1, y0=4, y1=36, x0=4, x1=36)
    parts = pd.DataFrame([("v", 0, 80, 0, 40, 0, 40, 1), ("v", 80, 160, 0, 40, 0, 40, 0)], columns=[*BOX, "fold"])
    last = {}
    for planes in (("xy",), ALL):
        windows = covered(patches, 32, Shape(32, Stack(), planes=planes), store)
        last[planes] = patches.z[training_patches(boxes, windows, parts, 0, buffer, 0)].max()
    assert last == {("xy",): 79 - buffer, ALL: 64 - buffer}


def test_blocks_too_thin_for_any_window_are_refused(store: PixelStore) -> None:
    patches = _patches(*[("v", z, 4, 4) for z in range(50)])
    boxes = patches.assign(z0=patches.z, z1=patches.z + 1, y0=4, y1=36, x0=4, x1=36)
    parts = pd.DataFrame([("v", 0, 25, 0, 60, 0, 70, 1), ("v", 25, 50, 0, 60, 0, 70, 0)], columns=[*BOX, "fold"])
    with pytest.raises(InputError, match="no patch is left to train.*planes: \\[xy\\]"):
        training_patches(boxes, covered(patches, 32, Shape(32, Stack(), planes=ALL), store), parts, 0, 0, 0)


def test_an_image_has_no_other_planes(pixel_store: Callable) -> None:
    store = pixel_store({"a": np.zeros((1, 40, 40, 1), np.uint8)})
    with pytest.raises(InputError, match="a: is no volume and has no plane xz"):
        covered(_patches(("a", 0, 0, 0)), 32, Shape(32, Stack(), planes=ALL), store)

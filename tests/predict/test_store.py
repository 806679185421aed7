from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from tessera.errors import InputError
from tessera.predict.store import Plane, ProbabilityStore, create_item

VIEWS = ["identity", "flip_h", "rot180"]
SIZES = [(40, 60), (41, 59), (17, 300), (1, 7)]  # original px


def _store(path: Path, size: tuple[int, int], scale: float, z0: int = 0) -> tuple[ProbabilityStore, dict]:
    """A store with one item of three slices and two classes; and what is in it by view."""
    working = tuple(max(1, round(side * scale)) for side in size)
    rng = np.random.default_rng(0)
    maps = {view: rng.integers(0, 256, (2, 3, *working), np.uint8) for view in VIEWS}
    with h5py.File(path, "w") as file:
        plane = Plane(0, size[0], 0, size[1], *size, *working)
        group = create_item(file, "item", "image", (z0, z0 + 3), plane, VIEWS, 2)
        for view, values in maps.items():
            group[view][:] = values
    return ProbabilityStore(path), maps


def test_at_scale_1_the_values_come_back_exactly(tmp_path: Path) -> None:
    store, maps = _store(tmp_path / "p.h5", (41, 59), 1.0)
    found = store.read("item", 1, ["flip_h"])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, maps["flip_h"][:, 1])


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_several_views_are_averaged(tmp_path: Path, scale: float) -> None:
    store, _ = _store(tmp_path / "p.h5", (41, 59), scale)
    single = np.mean([store.read("item", 2, [view]) for view in VIEWS], axis=0)
    np.testing.assert_allclose(store.read("item", 2, VIEWS), single, atol=1e-3)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [0.5, 0.3, 0.77])
def test_a_smaller_scale_is_enlarged_as_opencv_does(tmp_path: Path, size: tuple[int, int], scale: float) -> None:
    store, maps = _store(tmp_path / "p.h5", size, scale)
    found = store.read("item", 0, ["identity"])
    for c in range(2):
        plane = maps["identity"][c, 0].astype(np.float32)
        expected = cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(found[c], expected, atol=1e-3)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [1.0, 0.5, 0.3])
def test_a_band_is_exactly_that_part_of_the_whole(tmp_path: Path, size: tuple[int, int], scale: float) -> None:
    store, _ = _store(tmp_path / "p.h5", size, scale)
    whole = store.read("item", 1, VIEWS)
    assert whole.shape == (2, *size)
    rng = np.random.default_rng(0)
    for _ in range(20):
        start = rng.integers(0, size[0])
        end = rng.integers(start, size[0]) + 1
        np.testing.assert_array_equal(store.read("item", 1, VIEWS, (start, end)), whole[:, start:end])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [1.0, 0.5, 0.3])
def test_the_map_of_a_part_is_exactly_that_part_of_its_images(
    tmp_path: Path, size: tuple[int, int], scale: float
) -> None:
    store, maps = _store(tmp_path / "p.h5", size, scale)
    whole = store.read("item", 1, VIEWS)
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "parts.h5", "w") as file:
        planes = {}
        for number in range(20):
            bounds = [sorted(rng.choice(side + 1, 2, replace=False).tolist()) for side in size]
            planes[str(number)] = Plane(*bounds[0], *bounds[1], *size, *maps["identity"].shape[2:])
            y, x, height, width = planes[str(number)].crop
            group = create_item(file, str(number), "image", (0, 3), planes[str(number)], VIEWS, 2)
            for view in VIEWS:
                group[view][:] = maps[view][:, :, y : y + height, x : x + width]
    parts = ProbabilityStore(tmp_path / "parts.h5")
    for name, plane in planes.items():
        expected = whole[:, plane.y0 : plane.y1, plane.x0 : plane.x1]
        np.testing.assert_array_equal(parts.read(name, 1, VIEWS), expected)
        np.testing.assert_array_equal(parts.read(name, 1, VIEWS, (0, 1)), expected[:, :1])


def test_slices_are_counted_in_the_volume(tmp_path: Path) -> None:
    store, maps = _store(tmp_path / "p.h5", (9, 8), 1.0, z0=5)
    np.testing.assert_array_equal(store.read("item", 6, ["identity"]), maps["identity"][:, 1])


@pytest.mark.parametrize("z", [4, 8])
def test_a_slice_that_the_part_has_not_is_never_read_as_another(tmp_path: Path, z: int) -> None:
    store, _ = _store(tmp_path / "p.h5", (9, 8), 1.0, z0=5)
    with pytest.raises((InputError, IndexError, ValueError)):
        store.read("item", z, ["identity"])


def test_a_missing_file_and_a_missing_item_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.h5: no such predictions"):
        ProbabilityStore(tmp_path / "gone.h5")
    store, _ = _store(tmp_path / "p.h5", (9, 8), 1.0)
    with pytest.raises(InputError, match=r"p\.h5: holds no 'other'"):
        store.read("other", 0, ["identity"])


def test_views_are_merged_as_asked_or_as_they_were_written(tmp_path: Path) -> None:
    store, maps = _store(tmp_path / "p.h5", (9, 8), 1.0)
    levels = [np.clip(maps[view][:, 0] / 255, 0.5 / 255, 254.5 / 255) for view in VIEWS]
    logits = np.mean([np.log(level / (1 - level)) for level in levels], 0)
    by_logits = store.read("item", 0, VIEWS, merge="logits")
    np.testing.assert_allclose(by_logits, 255 / (1 + np.exp(-logits)), atol=0.01)
    assert by_logits.dtype == np.float32
    np.testing.assert_array_equal(store.read("item", 0, VIEWS), store.read("item", 0, VIEWS, merge="probabilities"))
    np.testing.assert_array_equal(store.read("item", 0, VIEWS, (2, 5), "logits"), by_logits[:, 2:5])
    store.file.close()
    with h5py.File(store.path, "r+") as file:
        file.attrs["merge"] = "logits"
    np.testing.assert_array_equal(ProbabilityStore(store.path).read("item", 0, VIEWS), by_logits)

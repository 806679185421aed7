"""Rounds of pseudo-labels on disk, their candidate patches, and the pixel store over which their labels are laid."""

import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from tessera.data.extra_rows import index_round, no_rows
from tessera.data.patches import COLUMNS, index_slice
from tessera.data.pixels import PixelStore
from tessera.data.rounds import OWN, LaidOver, Made, read_round, unlike, write_fit
from tessera.errors import InputError
from tessera.params.tile import Tile
from tessera.tasks import Binary, Multilabel, hardened

SHAPE = (3, 40, 56)
TEST = pd.DataFrame({"image_id": ["t", "u"], "digest": ["dt", "du"]})
TILE = Tile(scale=1, size=32, stride=16, keep_empty=1)
ABOUT = {"labels": "hard", "bounds": (0.2, 0.8), "weight": 0.5, "classes": ["a"], "recipe": "r"}


def _labels(seed: int = 0, values: tuple = (0, 1, 255)) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array(values, np.uint8), SHAPE)


def _bands(labels: np.ndarray) -> list[tuple]:
    return [(z, y, labels[z, y : y + 16]) for z in range(len(labels)) for y in range(0, labels.shape[1], 16)]


def _write(path: Path, fits: dict[str, dict[str, np.ndarray]], **about: object) -> Path:
    """A round of fit → image → labels."""
    with h5py.File(path, "w") as file:
        file.attrs.update(ABOUT | about)
        for fit, images in fits.items():
            made = [Made(name, f"d{name}", labels.shape, _bands(labels)) for name, labels in images.items()]
            write_fit(file, fit, [{"model": "m", "fold": fit}], ["c"], made)
    return path


@pytest.fixture
def store(pixel_store: Callable[..., PixelStore]) -> PixelStore:
    rng = np.random.default_rng(1)
    return pixel_store({name: rng.integers(0, 256, (*SHAPE, 1), np.uint8) for name in "atu"})


def test_room_for_an_image_is_looked_for_first(tmp_path: Path, free: Callable[[int], None]) -> None:
    free(np.prod(SHAPE) - 1)
    with pytest.raises(InputError, match=r"r\.h5 cannot be saved .the disk is nearly full"):
        _write(tmp_path / "r.h5", {"0": {"t": _labels()}})


def test_labels_come_back_as_they_were_made(tmp_path: Path) -> None:
    path = _write(tmp_path / "r1.h5", {"0": {"t": _labels()}, "full": {"t": _labels(1)}})
    one = read_round(path)
    assert (one.name, one.soft, one.about["weight"]) == ("r1", False, 0.5)
    assert one.fits["0"].seen == [{"model": "m", "fold": "0"}]
    for fit, seed in (("0", 0), ("full", 1)):
        assert np.array_equal(one.fits[fit].images["t"].array, _labels(seed))
        assert one.fits[fit].images["t"].source == "dt"
    assert (
        path.read_bytes()
        == _write(tmp_path / "again.h5", {"0": {"t": _labels()}, "full": {"t": _labels(1)}}).read_bytes()
    )


def test_a_digest_is_of_labels_and_weight(tmp_path: Path) -> None:
    rounds = [
        _write(tmp_path / "r.h5", {"0": {name: _labels(seed)}}, **about)
        and read_round(tmp_path / "r.h5").fits["0"].digest
        for name, seed, about in (
            ("t", 0, {}), ("t", 0, {"recipe": "s"}), ("t", 1, {}), ("u", 0, {}), ("t", 0, {"weight": 2.0}), ("t", 0, {"labels": "soft"}),
        )
    ]  # fmt: skip
    assert rounds[0] == rounds[1]
    assert len(set(rounds)) == 5


def test_what_a_round_was_made_of_tells_it_from_others(tmp_path: Path) -> None:
    path = _write(tmp_path / "r.h5", {})
    assert unlike(path, ABOUT) == ""
    assert unlike(path, ABOUT | {"bounds": (0.1, 0.8), "recipe": "s"}) == "bounds, recipe"


def test_a_round_that_is_elsewhere_is_named_with_its_way_here(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"r9\.h5: is not here; `dvc pull .*r9\.h5\.dvc`"):
        read_round(tmp_path / "r9.h5")


@pytest.mark.parametrize("plane", ["xy", "xz", "yz"])
def test_laid_over_labels_are_read_as_those_of_the_file(tmp_path: Path, store: PixelStore, plane: str) -> None:
    """The labels of image a, taken for those of t, in every plane; a's own stay."""
    own = store.arrays("a")[1].copy()
    labels = read_round(_write(tmp_path / "r.h5", {"0": {"t": own}})).fits["0"].images
    laid = LaidOver(store.path, labels, soft=False)
    laid = pickle.loads(pickle.dumps(laid.in_plane(plane)))
    plain = store.in_plane(plane)
    for z, window in ((0, (0, 0, 40, 50)), (2, (1, 2, 9, 20))):
        assert np.array_equal(laid.read_labels("t", z, window), plain.read_labels("a", z, window))
        assert np.array_equal(laid.read_labels("a", z, window), plain.read_labels("a", z, window))
        assert np.array_equal(laid.read_stack("t", [0], window), plain.read_stack("t", [0], window))
    assert np.array_equal(laid.arrays("t")[1], plain.arrays("a")[1])
    assert laid.soft is False and laid.in_plane("xy").labels == labels


def test_soft_labels_become_targets_and_hard_ones_among_them_stay() -> None:
    labels = np.array([[0, 1, 2], [127, 254, 255]], np.uint8)
    target, valid = Binary(["a"]).encode_soft_target(labels)
    assert target.dtype == np.float32 and target.shape == (1, 2, 3)
    assert np.allclose(target[0], [[0, 1, 2 / 254], [0.5, 1, 0]])
    assert valid[0].tolist() == [[True] * 3, [True, True, False]]
    assert hardened(labels).tolist() == [[0, 1, 0], [1, 1, 255]]
    hard = _labels()
    for task, given in ((Binary(["a"]), hard), (Multilabel(["a", "b"]), np.stack([hard, hard[::-1]], -1))):
        for one, other in zip(task.encode_target(given), task.encode_soft_target(given), strict=True):
            assert np.array_equal(one, other)
        assert np.array_equal(hardened(given), given)


def test_patches_are_found_as_those_of_labelled_images(tmp_path: Path, store: PixelStore) -> None:
    one = read_round(_write(tmp_path / "r1.h5", {"0": {"t": _labels(), "u": _labels(1)}}))
    rows = index_round(one, "0", store, TEST, TILE, ["a"])
    assert list(rows) == [*COLUMNS, *OWN] == list(no_rows())
    expected = index_slice(_labels(1)[2], 32, 16, ["a"])
    found = rows[(rows.image_id == "u") & (rows.z == 2)].reset_index(drop=True)
    assert found[list(expected)].equals(expected)
    assert set(rows.weight) == {0.5} and set(rows["round"]) == {"r1"}
    assert set(rows.digest) == {one.fits["0"].digest[:16]}


def test_a_soft_label_of_a_half_is_positive_and_what_is_ignored_is_no_patch(tmp_path: Path, store: PixelStore) -> None:
    labels = _labels(values=(0, 100, 127, 254))
    labels[1:] = 255
    one = read_round(_write(tmp_path / "r.h5", {"0": {"t": labels}}, labels="soft"))
    rows = index_round(one, "0", store, TEST, TILE, ["a"])
    assert set(rows.z) == {0}
    assert rows.positive_fraction[0] == pytest.approx((labels[0, :32, :32] >= 127).mean())


def test_background_and_empty_patches_are_left_out_as_tile_says(
    tmp_path: Path, pixel_store: Callable[..., PixelStore]
) -> None:
    pixels = np.zeros((*SHAPE, 1), np.uint8)
    pixels[:, :, 32:] = np.random.default_rng(0).integers(0, 256, (3, 40, 24, 1), np.uint8)
    store = pixel_store({"t": pixels})
    one = read_round(_write(tmp_path / "r.h5", {"0": {"t": np.zeros(SHAPE, np.uint8)}}))
    rows = {
        name: index_round(one, "0", store, TEST, Tile(**TILE.model_dump() | keys), ["a"])
        for name, keys in {"all": {}, "shown": {"min_std": 30}, "some": {"keep_empty": 0.5}}.items()
    }
    assert {name: len(found) for name, found in rows.items()} == {"all": 18, "shown": 12, "some": 9}


@pytest.mark.parametrize(
    ("fit", "test", "said"),
    [
        ("1", TEST, "round r has labels for 0 and none for 1"),
        ("0", TEST.assign(digest="new"), "the file of t is another one"),
        ("0", TEST[1:], "t is no test image"),
    ],
)
def test_a_round_of_other_images_or_folds_is_refused(
    tmp_path: Path, store: PixelStore, fit: str, test: pd.DataFrame, said: str
) -> None:
    one = read_round(_write(tmp_path / "r.h5", {"0": {"t": _labels()}}))
    with pytest.raises(InputError, match=said):
        index_round(one, fit, store, test, TILE, ["a"])


def test_a_round_at_another_scale_or_without_a_label_is_refused(tmp_path: Path, store: PixelStore) -> None:
    one = read_round(_write(tmp_path / "r.h5", {"0": {"t": _labels()[:, ::2, ::2]}}))
    with pytest.raises(InputError, match=r"t is \(3, 40, 56\) \(slices, px, px\), its labels are \(3, 20, 28\)"):
        index_round(one, "0", store, TEST, TILE, ["a"])
    one = read_round(_write(tmp_path / "s.h5", {"0": {"t": np.full(SHAPE, 255, np.uint8)}}))
    with pytest.raises(InputError, match=r"round s has no patch.*narrower pseudo\.bounds"):
        index_round(one, "0", store, TEST, TILE, ["a"])


@pytest.mark.parametrize("classes", [["b"], ["a", "b"], ["b", "a"]])
def test_a_round_of_other_classes_is_refused(store: PixelStore, tmp_path: Path, classes: list[str]) -> None:
    """In another order, too: labels say a class by its number."""
    one = read_round(_write(tmp_path / "r1.h5", {"0": {"t": _labels()}}, classes=classes[::-1]))
    with pytest.raises(InputError, match=f"round r1 has labels of {', '.join(classes[::-1])}, data.classes are"):
        index_round(one, "0", store, TEST, TILE, classes if len(classes) > 1 else ["a"])
